"""What jobs cost: reserved of their budgets when they are made, and charged in the very transaction that ends them.

A job counts on the day on which it was made, at the price of that moment. Only one that succeeds is charged, whatever
else was tried before, so that the charges are those of the results.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.core import budgets
from shared.core.budgets import day_of
from shared.core.jobs import Job, State
from shared.core.pricing import NANO, Price, Use, cost
from shared.core.routing import Model
from shared.core.usage import UsageRow
from shared.money import ledgers
from shared.money.policy import Applies
from shared.money.refusals import no_price, refused
from shared.money.usage import UsageRecords
from shared.ports.store import Store, Transaction

RETRY_S = 1.0
STATUSES = {State.SUCCEEDED: 200, State.CANCELLED: 499}
"""What a row of usage says; 500 for all others."""


@dataclass(frozen=True, slots=True)
class Terms:
    """At what a job is charged, and to whom."""

    price: Price | None
    most: int
    """Nano-dollars that it can cost at most."""
    budgets: tuple[Applies, ...] = ()


def terms(model: Model, most: int, applying: tuple[Applies, ...]) -> Terms:
    """PermissionDenied when there are budgets and nobody knows what the model costs."""
    if applying and model.price is None:
        raise no_price(model)
    return Terms(model.price, most, applying)


class JobCharges:
    def __init__(self, store: Store, rows_kept_days: int) -> None:
        self._rows = UsageRecords(store, rows_kept_days)

    @staticmethod
    def reserve(transaction: Transaction, job_id: str, terms: Terms) -> dict[str, Any]:
        """What the job of that id is charged by; BudgetExceeded when there is no room for it."""
        now, day = transaction.now, day_of(transaction.now)
        month, price = day[:7], terms.price
        applying = terms.budgets if terms.most else ()
        before = [ledgers.read(transaction, each.subject, month) for each in applying]
        reserved: dict[str, int] = {}
        for applies, ledger in zip(applying, before, strict=True):
            after, grant = budgets.reserve(ledger, applies.budget, job_id, terms.most, day, now)
            if not grant.granted:
                raise refused(applies.subject, applies.budget, grant.standing, RETRY_S, now)
            reserved[applies.subject] = grant.granted
            ledgers.write(transaction, applies.subject, month, after)
        charged = price and [price.input, price.output, price.cached, price.request, price.second]
        return {"day": day, "price": charged, "reserved": reserved}

    def settle(self, transaction: Transaction, job: Job) -> Job:
        """Charges a job that has just ended: in its ledgers, in its usage, and in a row of its own."""
        if job.charge is None:
            return job
        charge, amount = job.charge, _cost(job)
        month, reserved = charge["day"][:7], charge["reserved"]
        before = {subject: ledgers.read(transaction, subject, month) for subject in reserved}
        for subject, ledger in before.items():
            after = budgets.settle(ledger, job.id, reserved[subject], amount or 0, charge["day"])
            ledgers.write(transaction, subject, month, after)
        self._rows.add_in(transaction, f"job-{job.id}", [_row(job, transaction.now, amount)])
        if job.usage is None or amount is None:
            return job
        return replace(job, usage={**job.usage, "cost_usd": amount / NANO})


def _cost(job: Job) -> int | None:
    """Nano-dollars; None when nobody knows."""
    if job.state is not State.SUCCEEDED:
        return 0
    if job.charge is None or job.charge["price"] is None:
        return None
    usage: Mapping[str, Any] = job.usage or {}
    details = usage.get("prompt_tokens_details") or {}
    ran_s = usage.get("seconds", min(job.timeout_s, (job.finished_at or 0.0) - (job.started_at or 0.0)))
    use = Use(
        usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), details.get("cached_tokens") or 0, ran_s
    )
    price = Price(*job.charge["price"])
    return cost(replace(price, request=price.request * usage.get("requests", 1)), use)


def _row(job: Job, now: float, amount: int | None) -> UsageRow:
    usage: Mapping[str, Any] = job.usage or {}
    return UsageRow(
        at=now,
        request_id=job.trace_id or job.id,
        tenant=job.tenant,
        key_id=job.key_id,
        route="jobs",
        model=job.model,
        status=STATUSES.get(job.state, 500),
        tokens_in=usage.get("prompt_tokens", 0),
        tokens_cached=0,
        tokens_out=usage.get("completion_tokens", 0),
        cost=amount,
        ms=round((now - job.created_at) * 1000, 2),
    )
