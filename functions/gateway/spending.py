"""Reserves the most that a request can cost before it is sent on, and settles what it cost.

Decided from memory; money is leased from the ledgers in the store by errands, one at a time for each budget, which all
requests that wait for it share. What nobody waits for is settled along the way: see shared/core/account.py.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from functions.gateway.leaving import when_leaving
from shared import telemetry
from shared.core.account import Account
from shared.core.errors import Unavailable
from shared.core.keys import Caller
from shared.money.ledgers import Ledgers
from shared.money.policy import Applies, BudgetPolicy
from shared.money.refusals import closed, refused
from shared.ports.clock import Clock

THREADS = 4
WAIT_S = 5.0
"""How long a request waits for the store."""
MOST_ERRANDS = 10
PAUSE_S = 1.0

log = logging.getLogger("omni.gateway")


class Reservation:
    """What a request holds of the budgets that it counts against."""

    __slots__ = ("_parts", "_spending")

    def __init__(self, spending: "Spending", parts: Sequence[tuple[Account, int, int]]) -> None:
        self._spending = spending
        self._parts = parts

    def settle(self, cost: int) -> None:
        for account, amount, reserved in self._parts:
            self._spending.settle(account, amount, reserved, cost)


class Spending:
    def __init__(self, ledgers: Ledgers, policy: BudgetPolicy, clock: Clock) -> None:
        self._ledgers = ledgers
        self._policy = policy
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "budgets")
        self._accounts: dict[str, Account] = {}
        self._errands: dict[Account, asyncio.Task[None]] = {}
        self._boarding: set[Account] = set()
        """Whose errand has not left yet."""
        self._keeper: asyncio.Task[None] | None = None
        self._knows_its_end = False

    def applying_to(self, caller: Caller) -> tuple[Applies, ...]:
        return self._policy.applying_to(caller)

    async def reserve(self, budgets: Sequence[Applies], amount: int) -> Reservation:
        """BudgetExceeded names the budget that has no room, Unavailable tells that none can be asked."""
        accounts = [self._account(each) for each in budgets]
        for _ in range(MOST_ERRANDS):
            now = self._clock.monotonic()
            self._require_open(accounts)
            missing = [account for account in accounts if not account.covers(amount, now)]
            if not missing:
                self._keep_up()
                return Reservation(self, [(each, amount, each.reserve(amount, now)) for each in accounts])
            await self._lease(missing, amount, now)
        raise Unavailable("Too many requests ask for their budget at once.", retry_after_s=1)

    def settle(self, account: Account, amount: int, reserved: int, cost: int) -> None:
        now = self._clock.monotonic()
        account.settle(amount, reserved, cost, now)
        if account.has_too_much(now) and not self._is_under_way(account):
            self._start(account)

    def settle_at_exit(self) -> None:
        """Gives back what this instance holds. What is under way stays reserved, and so counts as spent."""
        for account in self._accounts.values():
            now, wall = self._clock.monotonic(), self._clock.now()
            account.rest()
            if account.has_to_tell(now):
                with suppress(Unavailable):
                    ask = account.ask(now, wall)
                    account.receive(ask, self._ledgers.exchange(ask), now, wall)

    def _account(self, applies: Applies) -> Account:
        account = self._accounts.get(applies.subject)
        if account is None:
            account = Account(applies.subject, applies.budget, strict=applies.strict)
            self._accounts[applies.subject] = account
        elif account.budget != applies.budget or account.strict != applies.strict:
            account.change(applies.budget, strict=applies.strict)
        return account

    @staticmethod
    def _require_open(accounts: Sequence[Account]) -> None:
        for account in accounts:
            if account.strict and account.is_failing:
                raise closed(account.subject)

    async def _lease(self, missing: Sequence[Account], amount: int, now: float) -> None:
        for account in missing:
            if account.is_failing and (now < account.retry_at or self._is_under_way(account)):
                raise closed(account.subject)
            if wait_s := account.refused_for_s(amount, now):
                raise refused(account.subject, account.budget, account.standing, wait_s, self._clock.now())
        errands = {self._join(account, amount): account for account in missing}
        _, late = await asyncio.wait(errands, timeout=WAIT_S)
        for errand in late:
            errands[errand].fail(self._clock.monotonic())
            raise closed(errands[errand].subject)

    def _join(self, account: Account, amount: int) -> asyncio.Task[None]:
        """The errand under way, whose answer may suffice; or the next one, which asks for this amount too."""
        under_way = self._is_under_way(account)
        if account in self._boarding or not under_way:
            account.wait_for(amount)
        return self._errands[account] if under_way else self._start(account)

    def _is_under_way(self, account: Account) -> bool:
        errand = self._errands.get(account)
        return errand is not None and not errand.done()

    def _start(self, account: Account) -> asyncio.Task[None]:
        self._boarding.add(account)
        task = self._errands[account] = asyncio.get_running_loop().create_task(self._run(account))
        return task

    async def _run(self, account: Account) -> None:
        self._boarding.discard(account)
        now, wall = self._clock.monotonic(), self._clock.now()
        ask = account.ask(now, wall)
        telemetry.BUDGET_EXCHANGES.inc()
        try:
            grant = await asyncio.get_running_loop().run_in_executor(self._threads, self._ledgers.exchange, ask)
            account.receive(ask, grant, now, wall)
        except Unavailable as error:
            if not account.is_failing:
                fields = {"subject": account.subject, "detail": error.detail}
                log.warning("a budget cannot be asked; what was leased may still be spent", extra={"fields": fields})
            account.fail(self._clock.monotonic())

    def _keep_up(self) -> None:
        if not self._knows_its_end:
            self._knows_its_end = True
            when_leaving(self._leave, self.settle_at_exit)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def _leave(self) -> None:
        """Gives back what is not needed, from now on at once."""
        for account in self._accounts.values():
            account.rest()
            if account.has_to_tell(self._clock.monotonic()) and not self._is_under_way(account):
                self._start(account)

    async def _keep(self) -> None:
        while self._accounts:
            await asyncio.sleep(PAUSE_S)
            now = self._clock.monotonic()
            for account in list(self._accounts.values()):
                if self._is_under_way(account):
                    continue
                if account.has_to_tell(now):
                    self._start(account)
                elif account.is_idle(now):
                    del self._accounts[account.subject]
                    self._errands.pop(account, None)
