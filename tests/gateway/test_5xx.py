"""When upstreams fail: the caller learns what happened, and nothing of the operator's affairs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.ports.upstream import BrokenOff, ConnectFailed, TimedOut, UpstreamError
from tests.fakes import FakeResponse
from tests.gateway.conftest import COMPLETION, World, problem

PART = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
"""Of an answer."""


def test_503_when_no_server_can_be_reached(world: World) -> None:
    world.answers(lambda _: ConnectFailed("refused"))
    response = world.chat()
    assert problem(response) == (503, "upstream_unavailable", None)
    assert response.headers["retry-after"] == "2"


def test_503_when_a_function_cannot_be_reached(world: World) -> None:
    world.answers(lambda _: ConnectFailed("refused"))
    assert problem(world.request("GET", "/api/v1/jobs")) == (503, "unavailable", None)


def test_504_when_the_model_stays_silent(world: World) -> None:
    world.answers(lambda _: TimedOut("600 s"))
    assert problem(world.chat()) == (504, "upstream_timeout", None)


def test_502_when_the_answer_breaks_off(world: World) -> None:
    world.answers(lambda _: BrokenOff("reset"))
    assert problem(world.chat()) == (502, "upstream_failed", None)


@pytest.mark.parametrize("failure", [ConnectFailed("refused"), FakeResponse.json({}, 503), FakeResponse.json({}, 429)])
def test_the_next_upstream_answers_when_the_first_cannot(world: World, failure: ConnectFailed | FakeResponse) -> None:
    world.answers(lambda request: failure if "first" in request.url else FakeResponse.json(COMPLETION))
    assert world.chat(model="elsewhere").json() == COMPLETION
    assert [request.url.split("/")[2] for request in world.upstream.requests] == ["first.example", "second.example"]


def test_an_upstream_that_may_have_run_the_model_is_not_followed_by_another(world: World) -> None:
    world.answers(lambda _: BrokenOff("reset"))
    assert world.chat(model="elsewhere").status_code == 502
    assert len(world.upstream.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 500, 502])
def test_what_an_outside_server_says_of_our_account_stays_inside(world: World, status: int) -> None:
    told = {"error": {"message": "key sk-first of org-77 is over quota", "code": "quota"}}
    world.answers(lambda _: FakeResponse.json(told, status))
    response = world.chat(model="elsewhere")
    assert problem(response) == (502, "upstream_failed", None)
    assert "sk-first" not in response.text


@pytest.mark.parametrize(
    "told",
    [
        {"error": {"message": "bad temperature", "code": 400, "type": "BadRequestError"}},
        {"error": "bad temperature"},
        {"detail": "bad temperature"},
        {"object": "error", "message": "bad temperature"},
    ],
)
def test_refusals_of_every_shape_become_the_one_shape(world: World, told: object) -> None:
    world.answers(lambda _: FakeResponse.json(told, 400))
    response = world.chat(model="elsewhere")
    assert problem(response) == (400, "invalid_request", None)
    assert response.json()["error"]["message"] == "bad temperature"


def test_a_request_the_model_never_saw_is_tried_again(world: World) -> None:
    failures: Iterator[FakeResponse | UpstreamError] = iter([ConnectFailed("refused"), FakeResponse.json({}, 503)])
    world.answers(lambda _: next(failures, FakeResponse.json(COMPLETION)))
    assert world.chat().json() == COMPLETION
    assert len(world.upstream.requests) == 3


def shared_failures(world: World, count: int, **fields: Any) -> list[int]:
    """The statuses of so many different requests, by three tenants in turn."""
    keys = ("prod-key-acme-1", "free-key-ann-1", "master-key-root-1")
    return [world.chat(keys[number % 3], seed=number, **fields).status_code for number in range(count)]


def test_after_failures_that_several_tenants_see_an_upstream_is_left_alone(world: World) -> None:
    world.answers(lambda _: BrokenOff("reset"))
    assert shared_failures(world, 5) == [502] * 5
    response = world.chat()
    assert problem(response) == (503, "upstream_unavailable", None)
    assert response.headers["retry-after"] == "1"
    assert len(world.upstream.requests) == 5


def test_an_upstream_left_alone_is_not_waited_for(world: World) -> None:
    world.answers(lambda _: BrokenOff("reset"))
    shared_failures(world, 6, model="alone")
    assert problem(world.chat(model="alone")) == (503, "upstream_unavailable", None)
    assert len(world.upstream.requests) == 5


def test_a_server_that_cannot_be_reached_is_left_alone_whoever_asks(world: World) -> None:
    world.answers(lambda _: ConnectFailed("refused"))
    for _ in range(5):
        assert world.chat().status_code == 503
    asked = len(world.upstream.requests)
    assert problem(world.chat()) == (503, "upstream_unavailable", None)
    assert len(world.upstream.requests) == asked


def test_a_model_that_is_loading_is_no_failure_of_its_server(world: World) -> None:
    loading = FakeResponse.json({"error": {"message": "loading", "code": "model_loading"}}, 503)
    world.answers(lambda _: loading)
    for _ in range(10):
        response = world.chat()
        assert problem(response) == (503, "model_loading", None)
    world.answers(lambda _: FakeResponse.json(COMPLETION))
    assert world.chat().status_code == 200


def test_the_breakers_gauge_is_true_whenever_it_is_read(world: World) -> None:
    def state() -> float | None:
        return REGISTRY.get_sample_value("omni_upstream_state", {"model": "small", "upstream": "worker"})

    world.answers(lambda _: BrokenOff("reset"))
    seen = [state()]
    shared_failures(world, 5)
    seen.append(state())
    world.clock.advance(1.1)
    seen.append(state())
    world.answers(lambda _: FakeResponse.json(COMPLETION))
    world.chat()
    assert [*seen, state()] == [0, 2, 1, 0]


def test_an_upstream_left_alone_is_probed_and_taken_back(world: World) -> None:
    world.answers(lambda _: BrokenOff("reset"))
    shared_failures(world, 5)
    world.answers(lambda _: FakeResponse.json(COMPLETION))
    world.clock.advance(1.1)
    assert [world.chat().status_code for _ in range(3)] == [200] * 3


def test_the_callers_own_mistakes_are_no_failures_of_the_upstream(world: World) -> None:
    world.answers(lambda _: FakeResponse.json({"error": {"message": "no"}}, 400))
    assert {world.chat().status_code for _ in range(10)} == {400}


def test_a_redirect_is_no_answer_and_tells_nothing(world: World) -> None:
    moved = FakeResponse(302, [b""], [("location", "http://10.0.0.1/secret")])
    world.answers(lambda _: moved)
    response = world.chat()
    assert problem(response) == (502, "upstream_failed", None)
    assert "location" not in response.headers


@pytest.mark.parametrize("retry_after", ["9" * 400, "²", "-1", "soon"])
def test_a_retry_after_that_makes_no_sense_harms_nobody(world: World, retry_after: str) -> None:
    headers = [("content-type", "application/json"), ("retry-after", retry_after)]
    world.answers(lambda _: FakeResponse(400, [b"{}"], headers))
    assert problem(world.chat())[0] == 400


@pytest.mark.parametrize("tokens", [-3, 10**30, "many", None])
def test_token_counts_that_make_no_sense_count_nothing(world: World, tokens: object) -> None:
    world.answers(lambda _: FakeResponse.json(COMPLETION | {"usage": {"prompt_tokens": tokens}}))
    assert world.chat().status_code == 200


def test_a_stream_without_an_end_does_not_end_silently(world: World) -> None:
    world.answers(lambda _: FakeResponse.stream(PART))
    last = world.chat(stream=True).text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_failed"


def test_a_stream_cut_inside_an_event_leaves_no_half_event(world: World) -> None:
    world.answers(lambda _: FakeResponse.stream(PART + b'data: {"choi', BrokenOff("reset")))
    events = world.chat(stream=True).text.strip().split("\n\n")
    assert [list(json.loads(event.removeprefix("data: "))) for event in events] == [
        ["choices"],
        ["error", "request_id"],
    ]


def test_a_stream_passes_through_byte_by_byte(world: World) -> None:
    events = [
        PART.replace(b"null}]}", b'null}],"usage":null}'),
        b'data: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
        b"data: [DONE]\n\n",
    ]
    world.answers(lambda _: FakeResponse.stream(*events))
    response = world.chat(stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"] == "text/event-stream"
    assert response.content == b"".join(events)


def test_a_stream_that_breaks_off_ends_with_an_error_event(world: World) -> None:
    world.answers(lambda _: FakeResponse.stream(PART, BrokenOff("reset")))
    response = world.chat(stream=True)
    last = response.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_failed"
    assert "[DONE]" not in response.text
