"""What jobs cost: reserved of their budgets when they are admitted, charged in the very transaction that ends them.

A charge is named by its run: the job and the first epoch under which it may run. A job that is run again reserves anew
under another name, and settling a run once more changes nothing. A job counts on the day on which it was admitted, at
the price of that moment. Only one that succeeds is charged, whatever else was tried before, so that the charges are
those of the results; and one that is cancelled while it runs, or runs out of its time, for what its last attempt has
generated.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from shared.core import budgets, managed_keys
from shared.core.batches import Tokens
from shared.core.budgets import day_of
from shared.core.errors import BadDocument
from shared.core.jobs import Job, State
from shared.core.keys import Tier
from shared.core.pricing import NANO, Price, Use, cost
from shared.core.routing import Model
from shared.core.usage import UsageRow
from shared.money import ledgers
from shared.money.policy import Applies, BudgetPolicy
from shared.money.refusals import no_price, refused
from shared.money.usage import UsageRecords
from shared.money.worst_case import worst_cost_of
from shared.ports.store import Store, Transaction

RETRY_S = 1.0
STATUSES = {State.SUCCEEDED: 200, State.CANCELLED: 499}
"""What a row of usage says; 500 for all others."""
NO_POLICY = BudgetPolicy()

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """At what a job is charged, and to whom."""

    price: Price | None
    most: int
    """Nano-dollars that it can cost at most."""
    budgets: tuple[Applies, ...] = ()
    tier: Tier | None = None
    """Its key's, for a key that has no document to be looked up in."""


class Charge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job's document holds of its charge."""

    run: str
    day: str
    price: tuple[int, int, int, int, int] | None
    most: int
    """Nano-dollars that the run can cost; a short grant is less."""
    reserved: dict[str, int]
    """By subject; 0 where the run can cost nothing."""
    tier: Tier | None = None

    @property
    def granted(self) -> int:
        """Nano-dollars that every budget has set aside for the run; what it can cost where there is none."""
        return min(self.reserved.values(), default=self.most)

    @property
    def unit_price(self) -> Price | None:
        return None if self.price is None else Price(*self.price)


def read(document: Mapping[str, Any]) -> Charge:
    """BadDocument when it is no charge."""
    try:
        charge = msgspec.convert(document, Charge)
    except msgspec.ValidationError as error:
        raise BadDocument(f"a charge cannot be read: {error}") from error
    if charge.most < 0 or any(amount < 0 for amount in charge.reserved.values()):
        raise BadDocument(f"the charge of {charge.run!r} is less than nothing")
    return charge


def terms(model: Model, most: int, applying: tuple[Applies, ...], tier: Tier | None = None) -> Terms:
    """PermissionDenied when there are budgets and the model has no price."""
    if applying and model.price is None:
        raise no_price(model)
    return Terms(model.price, most, applying, tier)


def most_of(model: Model, given: Mapping[str, Any], timeout_s: float, default_output: int) -> int:
    """Nano-dollars that a job with this input can cost; 0 where the model has no price."""
    if model.price is None:
        return 0
    return worst_cost_of(model.price, model, msgspec.json.encode(given), default_output, math.ceil(timeout_s))


def run_name(job_id: str, epoch: int) -> str:
    """`epoch` is the first under which the job may run."""
    return f"{job_id}-{epoch}"


class JobCharges:
    def __init__(self, store: Store, rows_kept_days: int, policy: BudgetPolicy = NO_POLICY) -> None:
        self._rows = UsageRecords(store, rows_kept_days)
        self._policy = policy

    @staticmethod
    def reserve(transaction: Transaction, run: str, terms: Terms) -> dict[str, Any]:
        """What the run of that name is charged by; BudgetExceeded when there is no room for it."""
        now, day = transaction.now, day_of(transaction.now)
        month, price = day[:7], terms.price
        applying = terms.budgets if terms.most else ()
        before = [ledgers.read(transaction, each.subject, month) for each in applying]
        reserved = {applies.subject: 0 for applies in terms.budgets}
        for applies, ledger in zip(applying, before, strict=True):
            after, grant = budgets.reserve(ledger, applies.budget, run, terms.most, day, now)
            if not grant.granted:
                raise refused(applies.subject, applies.budget, grant.standing, RETRY_S, now)
            reserved[applies.subject] = grant.granted
            ledgers.write(transaction, applies.subject, month, after)
        charged = (price.input, price.output, price.cached, price.request, price.second) if price else None
        charge: dict[str, Any] = msgspec.to_builtins(Charge(run, day, charged, terms.most, reserved, terms.tier))
        return charge

    def settle(self, transaction: Transaction, job: Job) -> Job:
        """Charges a job that has just ended: in every ledger that it reserved of or that applies to it now, in its
        usage, and in a row of its own. AlreadyExists (at the latest at commit) when its run is settled."""
        if job.charge is None:
            return job
        charge = read(job.charge)
        amount = _cost(job, charge)
        month = charge.day[:7]
        subjects = charge.reserved.keys() | (self._applying_now(transaction, job, charge) if amount else set())
        before = {subject: ledgers.read(transaction, subject, month) for subject in sorted(subjects)}
        for subject, ledger in before.items():
            freed = charge.reserved.get(subject, 0)
            if freed or amount:
                after = budgets.settle(ledger, charge.run, freed, amount or 0, charge.day)
                ledgers.write(transaction, subject, month, after)
        self._rows.add_in(transaction, f"job-{charge.run}", [_row(job, transaction.now, amount)])
        return with_cost(job, amount)

    def settled(self, job: Job) -> Job:
        """The same job as `settle` returns, when its run was settled before."""
        return with_cost(job, _cost(job, read(job.charge))) if job.charge else job

    def _applying_now(self, transaction: Transaction, job: Job, charge: Charge) -> set[str]:
        """The subjects of the budgets that apply to the job's key and tenant as it ends."""
        document = transaction.get("keys", job.key_id)
        try:
            key = managed_keys.from_document(document) if document else None
        except (KeyError, TypeError, ValueError) as error:
            log.error("a job's key cannot be read", extra={"fields": {"job": job.id, "reason": repr(error)}})
            key = None
        tier, budget = (key.tier, key.budget) if key else (charge.tier, None)
        return set(self._policy.subjects_of(job.key_id, job.tenant, tier, budget))


def with_cost(job: Job, amount: int | None) -> Job:
    """The job whose usage tells what it cost in nano-dollars."""
    if job.usage is None or amount is None:
        return job
    return replace(job, usage={**job.usage, "cost_usd": amount / NANO})


def batch_cost(price: Price, tokens: Tokens, answers: int) -> int:
    """Nano-dollars of so many answers of a batch."""
    use = Use(tokens.input, tokens.output, tokens.cached, tokens.ms / 1000)
    return cost(replace(price, request=price.request * answers), use)


def _cost(job: Job, charge: Charge) -> int | None:
    """Nano-dollars; None without a price."""
    if job.state is not State.SUCCEEDED and not job.usage:
        return 0
    if (price := charge.unit_price) is None:
        return None
    usage: Mapping[str, Any] = job.usage or {}
    details = usage.get("prompt_tokens_details") or {}
    ran_s = usage.get("seconds", min(job.timeout_s, (job.finished_at or 0.0) - (job.claimed_at or 0.0)))
    use = Use(
        usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), details.get("cached_tokens") or 0, ran_s
    )
    return cost(replace(price, request=price.request * usage.get("requests", 1)), use)


def _row(job: Job, now: float, amount: int | None) -> UsageRow:
    usage: Mapping[str, Any] = job.usage or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return UsageRow(
        at=now,
        request_id=job.trace_id or job.id,
        tenant=job.tenant,
        key_id=job.key_id,
        route="jobs",
        model=job.model,
        status=STATUSES.get(job.state, 500),
        tokens_in=usage.get("prompt_tokens", 0),
        tokens_cached=cached,
        tokens_out=usage.get("completion_tokens", 0),
        cost=amount,
        ms=round((now - job.created_at) * 1000, 2),
    )
