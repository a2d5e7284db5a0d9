"""A request takes from every limit that applies to it, or from none."""

from shared.adapters.memory_limiter import MemoryLimiter
from shared.core.limits import Kind, Limits, Trip
from shared.core.quota import Holdings, Quota, Refusal, Ticket
from tests.fakes import FakeClock

CLOCK = FakeClock()


def take(limiter: MemoryLimiter, ticket: Ticket, quotas: tuple[Quota, ...], tokens: int = 0) -> Kind | None:
    """The kind of limit that refuses; None when all was taken."""
    now = CLOCK.monotonic()
    while isinstance(outcome := ticket.take(quotas, tokens, now), Holdings):
        asks = [allowance.ask(now, 1) for allowance in outcome.allowances]
        claims = [held.claim(1) for held in outcome.slots]
        answer = limiter.exchange(asks, claims)
        trip = Trip(now, now, answer.now, 1)
        for allowance, ask, grant in zip(outcome.allowances, asks, answer.grants, strict=True):
            allowance.receive(ask, grant, trip)
        for held, claim, count in zip(outcome.slots, claims, answer.held, strict=True):
            held.receive(claim, count, trip)
    return outcome.limit.kind if isinstance(outcome, Refusal) else None


def request(limiter: MemoryLimiter, *quotas: Quota, tokens: int = 0) -> tuple[Ticket, Kind | None]:
    ticket = Ticket(quotas)
    return ticket, take(limiter, ticket, quotas, tokens)


def test_the_limit_that_has_no_room_is_named() -> None:
    limiter, key = MemoryLimiter(CLOCK), Quota("key:a", Limits(2, 100, 1, 3))
    ticket, refused = request(limiter, key, tokens=10)
    assert refused is None
    assert request(limiter, key)[1] is Kind.CONCURRENT_REQUESTS
    ticket.close()
    assert request(limiter, key, tokens=91)[1] is Kind.TOKENS
    request(limiter, key)[0].close()
    assert request(limiter, key)[1] is Kind.REQUESTS


def test_what_one_limit_refuses_no_other_has_counted() -> None:
    limiter, key, tenant = MemoryLimiter(CLOCK), Quota("key:a", Limits(10)), Quota("tenant:t", Limits(2))
    kinds = [request(limiter, key, tenant)[1] for _ in range(5)]
    assert kinds == [None, None, Kind.REQUESTS, Kind.REQUESTS, Kind.REQUESTS]
    assert [request(limiter, key)[1] for _ in range(9)] == [None] * 8 + [Kind.REQUESTS]


def test_keys_of_one_tenant_share_its_limit() -> None:
    limiter, tenant = MemoryLimiter(CLOCK), Quota("tenant:t", Limits(3))
    keys = [Quota(f"key:{name}", Limits(2)) for name in "ab"]
    assert [request(limiter, key, tenant)[1] for key in (keys * 2)] == [None] * 3 + [Kind.REQUESTS]


def test_a_request_refused_in_its_second_step_counts_nowhere() -> None:
    limiter, key, model = MemoryLimiter(CLOCK), Quota("key:a", Limits(2, 100, 5)), Quota("model:m", Limits(1))
    request(limiter, model)
    for _ in range(5):
        ticket, refused = request(limiter, key)
        assert refused is None
        ticket.quotas = (key, model)
        assert take(limiter, ticket, (model,), 50) is Kind.REQUESTS
        ticket.cancel(CLOCK.monotonic())
        ticket.close()
    assert [request(limiter, key)[1] for _ in range(3)] == [None, None, Kind.REQUESTS]


def test_tokens_are_settled_on_what_was_used() -> None:
    limiter, key = MemoryLimiter(CLOCK), Quota("key:a", Limits(tokens_per_minute=100))
    ticket, _ = request(limiter, key, tokens=90)
    assert request(limiter, key, tokens=20)[1] is Kind.TOKENS
    ticket.settle(30, CLOCK.monotonic())
    assert request(limiter, key, tokens=70)[1] is None
    assert request(limiter, key, tokens=1)[1] is Kind.TOKENS


def test_tokens_that_were_not_foreseen_are_charged() -> None:
    limiter, key = MemoryLimiter(CLOCK), Quota("key:a", Limits(tokens_per_minute=100))
    ticket, _ = request(limiter, key, tokens=10)
    ticket.settle(100, CLOCK.monotonic())
    assert request(limiter, key, tokens=1)[1] is Kind.TOKENS


def test_slots_are_free_again_once_the_ticket_is_closed() -> None:
    limiter, key = MemoryLimiter(CLOCK), Quota("key:a", Limits(concurrent_requests=1))
    for _ in range(3):
        ticket, refused = request(limiter, key)
        assert refused is None
        assert request(limiter, key)[1] is Kind.CONCURRENT_REQUESTS
        CLOCK.advance(1.0)
        assert ticket.close().slots == (key.slots,)
        assert not ticket.close().slots


def test_other_limits_hold_from_the_next_request_on() -> None:
    limiter, key = MemoryLimiter(CLOCK), Quota("key:a", Limits(1))
    assert [request(limiter, key)[1] for _ in range(2)] == [None, Kind.REQUESTS]
    key.change(Limits(3, concurrent_requests=5))
    assert [request(limiter, key)[1] for _ in range(3)] == [None, None, Kind.REQUESTS]
    key.change(Limits())
    assert request(limiter, key)[1] is None


def test_a_quota_that_holds_nothing_is_idle() -> None:
    limiter, key = MemoryLimiter(CLOCK), Quota("key:a", Limits(10, concurrent_requests=1))
    ticket, _ = request(limiter, key)
    assert not key.is_idle(CLOCK.monotonic() + 2)
    ticket.close()
    assert key.slots
    key.slots.held = 0
    assert key.is_idle(CLOCK.monotonic() + 2)
