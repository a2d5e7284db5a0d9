"""Budgets hold over all instances, whatever happens to them: checked against every request that was ever admitted."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core import budgets
from shared.core.account import Account
from shared.core.budgets import LEASE_S, Ask, Budget, Grant, Ledger, day_ends_at, day_of, month_ends_at

START = 1_796_082_000.0
"""Half a day before the last midnight of a November."""
NOBODY_S = 10.0


@dataclass
class Running:
    account: Account
    amount: int
    reserved: int
    day: str


@dataclass
class World:
    """Some instances and their ledgers. `lost` answers are those of asks that were taken."""

    budget: Budget
    now: float = START
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    spent: dict[str, list[int]] = field(default_factory=dict)
    """What requests cost, by the day on which they were admitted."""
    crashes: Counter[str] = field(default_factory=Counter)
    """A process that is started anew is another instance."""

    def account(self, name: str) -> Account:
        return self.accounts.setdefault(name, Account("key:k", self.budget, strict=False))

    def instance(self, name: str) -> str:
        return f"{name}{self.crashes[name]}"

    def errand(self, name: str, *, is_lost: bool = False, is_down: bool = False) -> None:
        account = self.account(name)
        ask = account.ask(self.now, self.now)
        if is_down:
            account.fail(self.now)
            return
        ledger, grant = budgets.exchange(self.ledgers.get(ask.month, Ledger()), ask, self.instance(name), self.now)
        self.ledgers[ask.month] = budgets.from_document(budgets.to_document(ledger))
        if is_lost:
            account.fail(self.now)
        else:
            account.receive(ask, grant, self.now, self.now)

    def start(self, name: str, amount: int) -> bool:
        account = self.account(name)
        for _ in range(3):
            if account.covers(amount, self.now):
                reserved = account.reserve(amount, self.now)
                self.running.append(Running(account, amount, reserved, day_of(self.now)))
                return True
            if account.refused_for_s(amount, self.now):
                return False
            account.wait_for(amount)
            self.errand(name)
        return False

    def finish(self, number: int, share: float) -> None:
        request = self.running.pop(number % len(self.running))
        cost = round(request.amount * share)
        request.account.settle(request.amount, request.reserved, cost, self.now)
        self.spent.setdefault(request.day, []).append(cost)

    def tick(self) -> None:
        for name, account in self.accounts.items():
            if account.has_to_tell(self.now):
                self.errand(name)

    def kill(self, name: str) -> None:
        """What it had under way may have cost all that it could."""
        account = self.accounts.pop(name, None)
        for request in [each for each in self.running if each.account is account]:
            self.running.remove(request)
            self.spent.setdefault(request.day, []).append(request.amount)
        self.crashes[name] += 1

    def settle_all(self) -> None:
        while self.running:
            self.finish(0, 1.0)
        for _ in range(4):
            self.now += NOBODY_S
            self.tick()


NAMES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("start"), NAMES, st.integers(1, 60)),
    st.tuples(st.just("finish"), st.integers(0, 50), st.floats(0, 1)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 3.0, 40.0, LEASE_S + 1, 30_000.0])),
    st.tuples(st.just("tick")),
    st.tuples(st.just("lose"), NAMES),
    st.tuples(st.just("miss"), NAMES),
    st.tuples(st.just("kill"), NAMES),
)
BUDGETS = st.builds(Budget, st.none() | st.integers(0, 200), st.none() | st.integers(0, 300)).filter(bool)


def play(world: World, steps: list[tuple[object, ...]]) -> None:
    for step in steps:
        match step:
            case ("start", str(name), int(amount)):
                world.start(name, amount)
            case ("finish", int(number), float(share)) if world.running:
                world.finish(number, share)
            case ("wait", float(seconds)):
                world.now += seconds
            case ("tick",):
                world.tick()
            case ("lose", str(name)):
                world.errand(name, is_lost=True)
            case ("miss", str(name)):
                world.errand(name, is_down=True)
            case ("kill", str(name)):
                world.kill(name)


def require_kept(budget: Budget, spent: dict[str, list[int]]) -> None:
    """No day and no month has more than its budget and one answer."""
    months: dict[str, list[int]] = {}
    for day, costs in spent.items():
        assert budget.daily is None or sum(costs) <= budget.daily + max(costs, default=0)
        months.setdefault(day[:7], []).extend(costs)
    for costs in months.values():
        assert budget.monthly is None or sum(costs) <= budget.monthly + max(costs, default=0)


@settings(max_examples=250, deadline=None)
@given(BUDGETS, st.lists(STEPS, max_size=60))
def test_no_budget_is_exceeded_by_more_than_one_answer(budget: Budget, steps: list[tuple[object, ...]]) -> None:
    world = World(budget)
    play(world, steps)
    world.settle_all()
    require_kept(budget, world.spent)


@settings(max_examples=250, deadline=None)
@given(BUDGETS, st.lists(STEPS, max_size=60))
def test_the_ledger_has_every_cost_and_nothing_else(budget: Budget, steps: list[tuple[object, ...]]) -> None:
    """Unless an instance was killed, or stopped for longer than its lease: then what it held is spent as well."""
    world = World(budget)
    for step in steps:
        if step[0] != "kill" and step not in (("wait", LEASE_S + 1), ("wait", 30_000.0)):
            play(world, [step, ("tick",)])
    world.settle_all()
    told = sum(ledger.month_spent for ledger in world.ledgers.values())
    assert told == sum(sum(each) for each in world.spent.values())
    assert not any(lease.amount for ledger in world.ledgers.values() for lease in ledger.leases.values())


@settings(max_examples=250, deadline=None)
@given(BUDGETS, st.lists(STEPS, max_size=40), st.integers(1, 10_000))
def test_a_caller_who_asks_alone_is_never_locked_out(
    budget: Budget, steps: list[tuple[object, ...]], amount: int
) -> None:
    """While anything is left of its budget, however much a request may cost."""
    world = World(budget)
    play(world, steps)
    world.settle_all()
    world.now += LEASE_S + 1
    ledger = world.ledgers.get(day_of(world.now)[:7], Ledger())
    gone = {day: ledger.spent.get(day, 0) for day in ledger.spent}
    for lease in ledger.leases.values():
        gone[lease.day] = gone.get(lease.day, 0) + lease.amount
    left_today = budget.daily is None or gone.get(day_of(world.now), 0) < budget.daily
    left_this_month = budget.monthly is None or sum(gone.values()) < budget.monthly
    assert world.start("new", amount) == (left_today and left_this_month)


def test_a_killed_instance_frees_nothing() -> None:
    world = World(Budget(daily=100))
    assert world.start("a", 30)
    held = world.ledgers["2026-11"].leases["a0"].amount
    world.kill("a")
    world.now += LEASE_S + 1
    assert world.start("b", 1)
    assert world.ledgers["2026-11"].month_spent == held >= 30


def test_an_instance_that_comes_back_after_its_lease_is_not_counted_twice() -> None:
    world = World(Budget(daily=100))
    assert world.start("a", 30)
    world.now += LEASE_S + 1
    assert world.start("b", 1)
    before = world.ledgers["2026-11"].month_spent
    world.finish(0, 1.0)
    world.tick()
    assert world.ledgers["2026-11"].month_spent == before


def test_only_one_request_at_a_time_may_be_short() -> None:
    world = World(Budget(daily=10))
    assert world.start("a", 50)
    assert not world.start("b", 50)
    world.finish(0, 0.1)
    world.tick()
    world.now += 1.1
    assert world.start("b", 50)


def test_what_a_fast_caller_needs_is_leased_ahead() -> None:
    world = World(Budget(daily=1_000_000))
    asks = 0
    errand = world.errand

    def counted(name: str, **how: bool) -> None:
        nonlocal asks
        asks += 1
        errand(name, **how)

    world.errand = counted  # type: ignore[method-assign]
    for number in range(2000):
        assert world.start("a", 40)
        world.finish(0, 0.1)
        world.now += 0.01
        if number % 100 == 99:
            world.tick()
    assert asks <= 12


def test_a_job_reserves_until_it_is_settled() -> None:
    budget = Budget(daily=100)
    ledger, grant = budgets.reserve(Ledger(), budget, "job", 60, "2026-11-24", START)
    assert (grant.granted, grant.free) == (60, 40)
    ledger, short = budgets.reserve(ledger, budget, "other", 60, "2026-11-24", START)
    assert (short.granted, short.is_short) == (40, True)
    _, refused = budgets.reserve(ledger, budget, "third", 1, "2026-11-24", START)
    assert refused.granted == 0
    ledger = budgets.settle(ledger, "other", 40, 5, "2026-11-24")
    ledger = budgets.settle(ledger, "job", 60, 50, "2026-11-24")
    assert (ledger.month_spent, ledger.short, budgets.standing(ledger, "2026-11-24").tied) == (55, "", 0)


def test_an_ask_that_is_repeated_has_no_further_effect() -> None:
    ask = Ask("key:k", "2026-11", Budget(100), "2026-11-24", "2026-11-24", 1, 0, 0, 0, False, 10, 10)
    once, grant = budgets.exchange(Ledger(), ask, "a", START)
    twice, again = budgets.exchange(once, ask, "a", START + 1)
    assert (twice, again) == (once, grant)
    assert isinstance(grant, Grant)


@pytest.mark.parametrize(
    ("now", "day", "day_end", "month_end"),
    [
        (0.0, "1970-01-01", 86_400.0, 31 * 86_400.0),
        (1_709_164_800.0, "2024-02-29", 1_709_251_200.0, 1_709_251_200.0),
        (1_798_761_599.0, "2026-12-31", 1_798_761_600.0, 1_798_761_600.0),
    ],
)
def test_days_and_months_are_utc_s(now: float, day: str, day_end: float, month_end: float) -> None:
    assert (day_of(now), day_ends_at(now), month_ends_at(now)) == (day, day_end, month_end)


def test_nothing_may_be_spent_of_nothing() -> None:
    assert not World(Budget(daily=0)).start("a", 1)
    assert Budget(daily=0)
    assert not Budget()


def test_an_instance_that_leaves_gives_back_at_once() -> None:
    world = World(Budget(daily=1_000_000))
    for _ in range(2):
        assert world.start("a", 40)
        world.finish(0, 0.5)
    world.tick()
    assert world.ledgers["2026-11"].leases["a0"].amount
    world.accounts["a"].rest()
    world.tick()
    assert world.ledgers["2026-11"].leases["a0"].amount == 0
    assert world.ledgers["2026-11"].month_spent == 40
