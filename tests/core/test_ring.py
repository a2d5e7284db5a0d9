"""The ring of sub-windows against a brute-force model."""

from hypothesis import given
from hypothesis import strategies as st

from shared.core.limits import DAY, MINUTE, Ask, Kind, Limit, Window
from shared.core.ring import Ring

STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.099, 0.1, 0.3, 7.0, 29.95, 59.0, 61.1, 200.0]), st.integers(0, 5)),
    max_size=120,
)


def ask(amount: int, least: int = 1, most: int | None = None, kind: Kind = Kind.REQUESTS, **settled: object) -> Ask:
    limit = Limit("key:a", kind, amount)
    return Ask(limit, least, least if most is None else most, **settled)  # type: ignore[arg-type]


class Model:
    """Every unit with the sub-window it counts in: all sums are made afresh."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.units: list[tuple[int, int]] = []

    def counted(self, now: float) -> int:
        oldest = self.window.index(now) - self.window.sub_windows
        return sum(units for at, units in self.units if at >= oldest)

    def grant(self, ask: Ask, now: float) -> int:
        free = ask.limit.amount - self.counted(now)
        granted = min(ask.most, free) if 0 < min(ask.least, ask.limit.amount) <= free else 0
        self.units.append((self.window.index(now + self.window.lease_s), granted))
        return granted


@given(st.integers(1, 30), STEPS, st.integers(0, 10), st.sampled_from([Kind.REQUESTS, Kind.DAILY_REQUESTS]))
def test_it_grants_what_the_model_grants(limit: int, steps: list[tuple[float, int]], more: int, kind: Kind) -> None:
    window = DAY if kind is Kind.DAILY_REQUESTS else MINUTE
    ring, model, now = Ring(window), Model(window), 1_000_000.0
    for wait, least in steps:
        now += wait * window.length_s / 60
        wanted = ask(limit, least, least + more, kind)
        grant = ring.take(wanted, now)
        assert grant.granted == model.grant(wanted, now)
        assert grant.free == limit - model.counted(now)


@given(st.integers(1, 30), STEPS)
def test_no_window_ever_holds_more_than_the_limit(limit: int, steps: list[tuple[float, int]]) -> None:
    """Whenever within its lease a unit is used: the first at the end, the last at once."""
    ring, now, leases = Ring(MINUTE), 1_000_000.0, list[tuple[float, int]]()
    for wait, least in steps:
        now += wait
        leases.append((now, ring.take(ask(limit, least), now).granted))
    for start, _ in leases:
        assert sum(n for at, n in leases if start <= at < start + MINUTE.lease_s + MINUTE.length_s) <= limit


@given(st.integers(1, 30), STEPS)
def test_a_refused_caller_is_told_when_to_come_again(limit: int, steps: list[tuple[float, int]]) -> None:
    ring, now = Ring(MINUTE), 1_000_000.0
    for wait, least in steps:
        now += wait
        grant = ring.take(ask(limit, least), now)
        if least and not grant.granted:
            assert 0 < grant.retry_after_s <= 61.2
            assert not ring.take(ask(limit, least), now + grant.retry_after_s - 0.001).granted
            now += grant.retry_after_s
            assert ring.take(ask(limit, least), now).granted == min(least, limit)


def test_the_whole_limit_comes_free_a_window_and_a_lease_later() -> None:
    ring = Ring(MINUTE)
    grant = ring.take(ask(3, 3), 1000.0)
    assert 61.0 < grant.reset_s <= 61.1
    assert ring.take(ask(3, 3), 1000.0 + grant.reset_s - 0.001).granted == 0
    assert ring.take(ask(3, 3), 1000.0 + grant.reset_s).granted == 3


def test_units_settled_where_they_were_spent_come_free_a_window_after_that() -> None:
    ring, spent_at = Ring(MINUTE), MINUTE.index(1000.0)
    leased = ring.take(ask(3, 3), 1000.0)
    settled = ring.take(ask(3, 1, returned=((leased.sub_window, 3),), charged=((spent_at, 3),)), 1000.5)
    assert settled.granted == 0
    assert 59.0 < settled.retry_after_s <= 59.6


def test_what_was_not_used_is_free_at_once() -> None:
    ring = Ring(MINUTE)
    leased = ring.take(ask(10, 1, 10), 1000.0)
    grant = ring.take(ask(10, 1, 10, returned=((leased.sub_window, 10),), charged=((MINUTE.index(1000.0), 4),)), 1000.2)
    assert grant.granted == 6


def test_nothing_is_returned_that_does_not_count_any_more() -> None:
    ring = Ring(MINUTE)
    leased = ring.take(ask(10, 10), 1000.0)
    ring.take(ask(10, 10), 1100.0)
    assert ring.take(ask(10, 1, returned=((leased.sub_window, 10),)), 1100.0).granted == 0


def test_a_charge_beyond_the_limit_is_waited_for() -> None:
    ring = Ring(MINUTE)
    ring.take(ask(10, 0, charged=((MINUTE.index(1000.0), 15),)), 1000.0)
    refused = ring.take(ask(10, 1), 1010.0)
    assert (refused.granted, refused.free) == (0, 0)
    assert refused.retry_after_s > 49


def test_a_request_larger_than_the_limit_gets_the_whole_limit() -> None:
    assert Ring(MINUTE).take(ask(10, 25), 1000.0).granted == 10


def test_a_changed_limit_holds_at_once() -> None:
    ring = Ring(MINUTE)
    assert ring.take(ask(10, 5), 1000.0).granted == 5
    assert ring.take(ask(2, 1), 1000.0).granted == 0
    assert ring.take(ask(10, 1, 10), 1000.0).granted == 5


def test_an_idle_ring_can_be_forgotten() -> None:
    ring = Ring(MINUTE)
    ring.take(ask(3, 1), 1000.0)
    assert not ring.is_idle(1060.0)
    assert ring.is_idle(1061.2)
