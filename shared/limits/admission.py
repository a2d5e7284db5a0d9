"""Who may send a request now: decided from memory, after an errand to the limiter where memory does not suffice."""

from collections.abc import Sequence

from shared import telemetry
from shared.core.errors import RateLimited, Unavailable
from shared.core.keys import Caller
from shared.core.limits import Answer, Kind, Limit, Trip
from shared.core.quota import Holdings, Quota, Refusal, Ticket
from shared.limits.headers import headers
from shared.limits.policy import LimitPolicy
from shared.ports.clock import Clock
from shared.ports.limiter import Limiter
from shared.web.asgi import RawHeaders

FORGET_ABOVE = 20_000
"""Callers remembered; beyond that, those that hold nothing are forgotten."""
MOST_ERRANDS = 10
"""What others take meanwhile may make another errand necessary; so many times in a row is no bad luck."""
CODES = {
    Kind.REQUESTS: "rate_limit_exceeded",
    Kind.TOKENS: "token_limit_exceeded",
    Kind.DAILY_REQUESTS: "daily_limit_exceeded",
    Kind.CONCURRENT_REQUESTS: "concurrency_limit_exceeded",
}
PHRASES = {
    Kind.REQUESTS: "requests per minute",
    Kind.TOKENS: "tokens per minute",
    Kind.DAILY_REQUESTS: "requests per day",
    Kind.CONCURRENT_REQUESTS: "requests at the same time",
}


class Errand:
    """One exchange with the limiter: made and delivered where the holdings are used, run wherever it may block."""

    def __init__(self, limiter: Limiter, clock: Clock, holdings: Holdings) -> None:
        self._limiter = limiter
        self._now = clock.monotonic
        self._holdings = holdings
        self._sent_at = self._now()
        self._asks = [allowance.ask(self._sent_at, limiter.instances) for allowance in holdings.allowances]
        self._claims = [held.claim(limiter.instances) for held in holdings.slots]

    def run(self) -> Answer:
        return self._limiter.exchange(self._asks, self._claims)

    def deliver(self, answer: Answer) -> None:
        trip = Trip(self._sent_at, self._now(), answer.now, self._limiter.instances)
        for allowance, ask, grant in zip(self._holdings.allowances, self._asks, answer.grants, strict=True):
            allowance.receive(ask, grant, trip)
        for slots, claim, held in zip(self._holdings.slots, self._claims, answer.held, strict=True):
            slots.receive(claim, held, trip)


class Admission:
    """What this instance holds of all limits. Not safe for threads: one at a time."""

    def __init__(self, limiter: Limiter, clock: Clock, policy: LimitPolicy) -> None:
        self._limiter = limiter
        self._clock = clock
        self._policy = policy
        self._keys: dict[str, tuple[Caller, Quota]] = {}
        self._tenants = {name: Quota(f"tenant:{name}", limits) for name, limits in policy.tenants.items() if limits}
        self._models = {name: Quota(f"model:{name}", limits) for name, limits in policy.models.items() if limits}

    def ticket(self, caller: Caller) -> Ticket:
        """For a request of the caller, which has taken nothing yet."""
        key, tenant = self._key(caller), self._tenants.get(caller.tenant)
        quotas = (key,) if key.policy else ()
        return Ticket((*quotas, tenant) if tenant else quotas)

    def model(self, ticket: Ticket, model_id: str) -> tuple[Quota, ...]:
        """What the model's own limits add to the ticket."""
        quota = self._models.get(model_id)
        if quota is None:
            return ()
        ticket.quotas = (*ticket.quotas, quota)
        return (quota,)

    def take(self, ticket: Ticket, quotas: Sequence[Quota], tokens: int = 0) -> Holdings | None:
        """A request of each of these quotas, and tokens of each of the ticket's; or what has to be fetched first.

        RateLimited names the limit that has no room, Unavailable one that is strict while nothing is shared; then
        nothing counts that the ticket took before.
        """
        now = self._clock.monotonic()
        if self._limiter.degraded and (strict := next((quota for quota in ticket.quotas if quota.limits.strict), None)):
            ticket.cancel(now)
            raise _closed(strict)
        outcome = ticket.take(quotas, tokens, now)
        if isinstance(outcome, Refusal):
            ticket.cancel(now)
            raise _refused(outcome)
        return outcome

    def errand(self, holdings: Holdings) -> Errand:
        return Errand(self._limiter, self._clock, holdings)

    def headers(self, ticket: Ticket) -> RawHeaders:
        found = headers(ticket.quotas, self._clock.monotonic())
        if found and self._limiter.degraded:
            found.append((b"x-omni-limits", b"degraded"))
        return found

    def _key(self, caller: Caller) -> Quota:
        known, quota = self._keys.get(caller.key_id, (None, None))
        if quota is None:
            self._make_room()
            quota = Quota(f"key:{caller.key_id}", self._policy.of_key(caller))
        elif known is caller:
            return quota
        elif quota.limits != (limits := self._policy.of_key(caller)):
            quota.change(limits)
        self._keys[caller.key_id] = caller, quota
        return quota

    def _make_room(self) -> None:
        if len(self._keys) >= FORGET_ABOVE:
            now = self._clock.monotonic()
            self._keys = {key: known for key, known in self._keys.items() if not known[1].is_idle(now)}


def count_admitted(caller: Caller) -> None:
    telemetry.LIMIT_DECISIONS.labels(caller.tier, "admitted", "").inc()


def _refused(refusal: Refusal) -> RateLimited:
    limit = refusal.limit
    return RateLimited(
        f"The limit of {limit.amount} {PHRASES[limit.kind]} for {_owner(limit)} is reached. "
        f"Try again in {refusal.retry_after_s:.1f} s.",
        code=CODES[limit.kind],
        retry_after_s=refusal.retry_after_s,
        headers=(("x-omni-limit", f"{limit.owner} {limit.kind}"),),
    )


def _owner(limit: Limit) -> str:
    return f"the model '{limit.subject.removeprefix('model:')}'" if limit.owner == "model" else f"this {limit.owner}"


def _closed(quota: Quota) -> Unavailable:
    owner = quota.subject.partition(":")[0]
    return Unavailable(
        f"The limits of this {owner} are strict and cannot be checked now.", code="limits_unavailable", retry_after_s=1
    )
