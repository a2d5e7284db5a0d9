"""A request that makes the model's server fail hurts only its own caller, and is not run again and again."""

from typing import Any

import pytest

from shared.ports.upstream import BrokenOff, OutgoingRequest, TimedOut, UpstreamError
from tests.fakes import FakeResponse
from tests.gateway.conftest import COMPLETION, World, problem

BAD = "a schema that cannot be met"
Failing = FakeResponse | UpstreamError


def failing_on_the_bad_one(world: World, failure: Failing) -> None:
    def answer(request: OutgoingRequest) -> Failing:
        return failure if BAD.encode() in request.body else FakeResponse.json(COMPLETION)

    world.answers(answer)


def bad(world: World, **fields: Any) -> tuple[int, str, str | None]:
    return problem(world.chat(messages=[{"role": "user", "content": BAD}], **fields))


FAILURES = [BrokenOff("reset"), TimedOut("600 s"), FakeResponse.json({}, 500), FakeResponse.json({}, 502)]
IDS = ["connection died", "stalled", "500", "502"]


@pytest.mark.parametrize("model", ["small", "alone", "elsewhere"])
@pytest.mark.parametrize("failure", FAILURES[:3], ids=IDS[:3])
def test_it_reaches_one_server_twice_and_then_none(world: World, failure: Failing, model: str) -> None:
    failing_on_the_bad_one(world, failure)
    statuses = [bad(world, model=model)[0] for _ in range(5)]
    assert statuses[:2] == [504 if isinstance(failure, TimedOut) else 502] * 2
    assert statuses[2:] == [400] * 3
    assert len(world.upstream.requests) == 2
    assert len({request.url for request in world.upstream.requests}) == 1


def test_a_workers_502_is_not_sent_again(world: World) -> None:
    failing_on_the_bad_one(world, FakeResponse.json({}, 502))
    assert [bad(world)[0] for _ in range(3)] == [502, 502, 400]
    assert len(world.upstream.requests) == 2


def test_an_outside_502_is_sent_elsewhere_once_and_then_remembered(world: World) -> None:
    failing_on_the_bad_one(world, FakeResponse.json({}, 502))
    assert [bad(world, model="elsewhere")[0] for _ in range(3)] == [502, 400, 400]
    assert len(world.upstream.requests) == 2


@pytest.mark.parametrize("failure", FAILURES, ids=IDS)
def test_others_are_served_all_the_while(world: World, failure: Failing) -> None:
    failing_on_the_bad_one(world, failure)
    for number in range(30):
        bad(world, seed=number)
    assert world.chat("free-key-ann-1").status_code == 200


def test_the_refusal_says_what_to_do_and_for_how_long(world: World) -> None:
    failing_on_the_bad_one(world, BrokenOff("reset"))
    bad(world), bad(world)
    response = world.chat(messages=[{"role": "user", "content": BAD}])
    assert problem(response) == (400, "request_fails_repeatedly", None)
    assert response.headers["retry-after"] == "60"
    world.clock.advance(61)
    assert bad(world)[0] == 502


def test_one_that_is_answered_in_the_end_is_forgiven(world: World) -> None:
    outcomes: list[Failing] = [BrokenOff("reset"), FakeResponse.json(COMPLETION), BrokenOff("reset")]
    world.answers(lambda _: outcomes.pop(0) if outcomes else FakeResponse.json(COMPLETION))
    assert [world.chat().status_code for _ in range(4)] == [502, 200, 502, 200]


def test_an_outage_that_others_see_too_is_not_the_requests_fault(world: World) -> None:
    world.answers(lambda _: BrokenOff("reset"))
    for key in ("prod-key-acme-1", "free-key-ann-1", "master-key-root-1"):
        for seed in (1, 2):
            world.chat(key, seed=f"{key}{seed}")
    world.answers(lambda _: FakeResponse.json(COMPLETION))
    world.clock.advance(1.1)
    assert world.chat("prod-key-acme-1", seed="prod-key-acme-11").status_code == 200


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_says_nothing_of_the_request(world: World, status: int) -> None:
    world.answers(lambda _: FakeResponse.json({}, status))
    assert {world.chat().status_code for _ in range(10)} == {status}
