"""A shared pool: nobody's first request waits for another tenant's flood, and nothing starves."""

import heapq
import random
from collections.abc import Callable
from itertools import count

import pytest

from shared.core.fair_share import PATIENCE_S, Claim, FairShare, Place, reserve_of


class Pool:
    """A pool of slots and tokens, a clock of its own, and what happens at which time."""

    def __init__(self, slots: int = 8, tokens: int = 10_240) -> None:
        self.now = 0.0
        capacity = slots, tokens
        self.share = FairShare(capacity, reserve_of(capacity), lambda: self.now)
        self.let_in: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def enter(self, tenant: str, tokens: int = 40, name: str = "", weight: int = 1) -> Place:
        return self.share.enter(
            Claim(tenant, (1, tokens), weight), lambda: self.let_in.append(name or f"{tenant}:{tokens}")
        )

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def request(
        self, tenant: str, tokens: int, lasts_s: float, ended: Callable[[float], None] = lambda _: None
    ) -> None:
        """One that takes so long once it is let in; `ended` is told how long it took with the wait."""
        places: list[Place] = []
        came = self.now

        def begin() -> None:
            self.at(self.now + lasts_s, end)

        def end() -> None:
            self.share.leave(places[0])
            ended(self.now - came)

        places.append(self.share.enter(Claim(tenant, (1, tokens)), begin))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = until


def test_a_tenant_alone_may_hold_all_of_the_capacity() -> None:
    pool = Pool()
    assert all(pool.enter("a", 1280).is_in for _ in range(8))
    assert not pool.enter("a").is_in


def test_a_flood_leaves_room_for_another_tenants_first_request() -> None:
    pool = Pool()
    for _ in range(50):
        pool.enter("a", 8000)
    assert pool.let_in == ["a:8000"]
    assert pool.enter("b", 1000).is_in


def test_a_full_pool_still_takes_a_small_request_of_a_tenant_that_holds_nothing() -> None:
    pool = Pool()
    flood = [pool.enter("a", 1280) for _ in range(50)]
    assert pool.enter("b", 1000).is_in
    assert not pool.enter("a", 10).is_in
    pool.share.leave(flood[0])
    assert pool.let_in.count("a:1280") == 9


def test_what_is_given_back_goes_to_the_tenant_that_holds_least() -> None:
    pool = Pool()
    flood = [pool.enter("a", name="a") for _ in range(50)]
    pool.enter("b", name="b1")
    assert not pool.enter("b", name="b2").is_in
    pool.share.leave(flood[3])
    assert pool.let_in[-1] == "b2"


def test_a_heavier_tenant_gets_a_larger_part() -> None:
    pool = Pool(slots=10, tokens=10**6)
    held = [pool.enter("other") for _ in range(10)]
    for _ in range(20):
        pool.enter("heavy", weight=4)
        pool.enter("light", weight=1)
    for place in held:
        pool.share.leave(place)
    heavy, light = pool.share.held("heavy")[0], pool.share.held("light")[0]
    assert heavy + light == 10 + 2  # with the reserve, in which both began
    assert heavy >= 3 * light


def test_tenants_take_turns_where_only_one_fits() -> None:
    pool = Pool(slots=1, tokens=100)
    pool.now = 1.0
    places = {name: pool.enter(name[0], 100, name) for name in ("a1", "a2", "a3", "b1", "b2")}
    for name in ("a1", "b1", "a2", "b2"):
        assert pool.let_in[-1] == name
        pool.now += 1
        pool.share.leave(places[name])
    assert pool.let_in == ["a1", "b1", "a2", "b2", "a3"]


def test_small_requests_pass_a_large_one_until_it_has_waited_long() -> None:
    pool = Pool()
    long = [pool.enter("a", 5000), pool.enter("c", 2000)]
    pool.enter("b", 8000, "large")
    pool.enter("d", 100, "passes")
    assert pool.let_in[-1] == "passes"
    pool.now = PATIENCE_S
    pool.enter("e", 2000, "has to wait")
    pool.enter("f", 100, "in the reserve")
    assert pool.let_in[-1] == "in the reserve"
    for place in long:
        pool.share.leave(place)
    assert pool.let_in[-2:] == ["large", "has to wait"]


def test_a_tenant_that_holds_much_does_not_stop_others_by_waiting_long() -> None:
    pool = Pool()
    for _ in range(3):
        pool.enter("a", 8000)
    pool.now = 100 * PATIENCE_S
    assert pool.enter("b", 2000).is_in


def test_a_claim_for_more_than_there_is_gets_everything() -> None:
    pool = Pool()
    assert pool.enter("a", 10**9).is_in
    assert pool.share.used == (1, 10_240)


def test_who_leaves_the_line_makes_room_for_those_behind() -> None:
    pool = Pool(slots=2, tokens=100)
    first = pool.enter("a", 100)
    waits, behind = pool.enter("b", 90), pool.enter("c", 60)
    pool.share.leave(waits)
    pool.share.leave(first)
    assert behind.is_in
    assert pool.share.waiting == 0


def test_a_claim_that_may_not_wait_leaves_nothing_behind() -> None:
    pool = Pool(slots=1)
    assert pool.share.try_enter(Claim("a", (1, 1)))
    assert pool.share.try_enter(Claim("a", (1, 1))) is None
    assert pool.share.waiting == 0
    assert pool.share.try_enter(Claim("b", (1, 1)))


@pytest.mark.parametrize("seed", range(5))
def test_beside_a_flood_a_tenants_requests_take_at_most_twice_as_long_as_alone(seed: int) -> None:
    """One after the other, as a program sends them; the flood's are of every size and last up to minutes."""
    draw = random.Random(seed)
    pool = Pool()
    for _ in range(500):
        pool.request("a", draw.choice((40, 500, 1280, 4000, 8000)), draw.uniform(1, 300))
    took: list[float] = []

    def next_one(last: float = 0.0) -> None:
        if last:
            took.append(last)
        pool.request("b", draw.choice((40, 1000, 1280)), 1.0, next_one)

    next_one()
    pool.run(600)
    assert len(took) > 500
    assert max(took) <= 2.0


@pytest.mark.parametrize("seed", range(5))
def test_nothing_starves_and_nothing_is_held_twice(seed: int) -> None:
    draw = random.Random(seed)
    pool = Pool()
    waits: list[float] = []

    def come(tenant: str) -> None:
        size, lasts_s = draw.choice((40, 1000, 8000, 10_240)), draw.uniform(0.1, 3)
        pool.request(tenant, size, lasts_s, lambda took: waits.append(took - lasts_s))
        assert pool.share.used[0] <= 8 + 1
        assert pool.share.used[1] <= 10_240 + 1280

    for number in range(400):
        tenant = f"t{number % 20}"
        pool.at(number * 0.5, lambda tenant=tenant: come(tenant))  # type: ignore[misc]
    pool.run(5000)
    assert len(waits) == 400
    assert pool.share.used == (0, 0)
    assert max(waits) < 1200


def test_a_tenants_claims_for_what_is_free_pass_those_for_what_is_not() -> None:
    pool = FairShare((4, 2), (1, 1), lambda: 0.0)
    transfers = [pool.enter(Claim("a", (1, 1)), lambda: None) for _ in range(10)]
    assert sum(place.is_in for place in transfers) == 2
    assert [pool.enter(Claim("a", (1, 0)), lambda: None).is_in for _ in range(3)] == [True, True, False]
