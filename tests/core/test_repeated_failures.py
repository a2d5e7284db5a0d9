"""A body that upstreams fail on again and again is refused for a while, and the memory of them is bounded."""

import pytest

from shared.core.repeated_failures import (
    MOST_BODIES,
    REFUSALS,
    REMEMBERED_S,
    RepeatedFailures,
)


def failing(times: int) -> RepeatedFailures:
    bodies = RepeatedFailures()
    for _ in range(times):
        bodies.add(b"a", 0.0)
    return bodies


def test_one_failure_refuses_nothing() -> None:
    assert failing(1).refused_for_s(b"a", 0.0) == 0


def test_after_the_second_failure_the_body_is_refused_for_a_while_and_no_other() -> None:
    bodies = failing(2)
    assert bodies.refused_for_s(b"a", 1.0) == REFUSALS.first_s - 1
    assert bodies.refused_for_s(b"b", 1.0) == 0
    assert bodies.refused_for_s(b"a", REFUSALS.first_s) == 0


@pytest.mark.parametrize(
    ("times", "refused_s"), [(3, 120), (4, 240), (6, REFUSALS.longest_s), (5000, REFUSALS.longest_s)]
)
def test_each_further_failure_doubles_it_up_to_ten_minutes(times: int, refused_s: float) -> None:
    assert failing(times).refused_for_s(b"a", 0.0) == refused_s


def test_an_answer_or_an_outage_forgives() -> None:
    bodies = failing(2)
    bodies.forget([b"a", b"never seen"])
    assert bodies.refused_for_s(b"a", 0.0) == 0


def test_failures_long_ago_count_no_more() -> None:
    bodies = failing(1)
    bodies.add(b"a", REMEMBERED_S)
    assert bodies.refused_for_s(b"a", REMEMBERED_S) == 0


def test_the_memory_is_bounded_and_the_oldest_gives_way() -> None:
    bodies = failing(2)
    for number in range(MOST_BODIES):
        bodies.add(b"%d" % number, 0.0)
    assert len(bodies) == MOST_BODIES
    assert bodies.refused_for_s(b"a", 0.0) == 0
