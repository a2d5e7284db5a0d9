"""The response cache: what is never kept, and what never asks it."""

from pathlib import Path

import pytest

from functions.gateway.kept_answers import MOST_KEPT_BYTES
from shared.ports.upstream import BrokenOff, ConnectFailed, TimedOut, UpstreamError
from tests.fakes import FakeClock, FakeResponse
from tests.gateway.answers import DONE, STREAM, WHOLE, answer, event, sse
from tests.gateway.caching import CHAT_PATH, WITH_USAGE, Gone, chat, outcomes
from tests.gateway.conftest import World, problem


@pytest.fixture
def cache() -> Gone:
    return Gone(1024 * 1024, FakeClock())


@pytest.fixture
def world(tmp_path: Path, cache: Gone) -> World:
    world = World(tmp_path, cache=cache)
    world.answers(answer)
    return world


@pytest.mark.parametrize(
    "parts",
    [
        [*STREAM[:2], BrokenOff("reset")],
        STREAM[:3],
        [*STREAM[:3], DONE],
        [*STREAM, sse({"error": {"message": "out of memory"}}), DONE],
        [*STREAM[:3], event({}, "content_filter"), DONE],
        [b"data: nonsense\n\n", DONE],
        [DONE],
        [],
    ],
    ids=["cut", "no end", "not finished", "an error inside", "filtered", "no JSON", "nothing said", "empty"],
)
def test_a_stream_that_did_not_end_well_is_never_kept(world: World, parts: list[bytes | UpstreamError]) -> None:
    world.answers(lambda _: FakeResponse.stream(*parts))
    chat(world, stream=True)
    world.answers(answer)
    assert outcomes(chat(world, stream=True), chat(world, **WITH_USAGE)) == ["miss", "miss"]


@pytest.mark.parametrize(
    "response",
    [
        FakeResponse.json(WHOLE, 206),
        FakeResponse.json(WHOLE | {"choices": []}),
        FakeResponse.json(WHOLE | {"choices": [WHOLE["choices"][0] | {"finish_reason": None}]}),
        FakeResponse.json(WHOLE | {"choices": [WHOLE["choices"][0] | {"finish_reason": "content_filter"}]}),
        FakeResponse.json(WHOLE | {"error": {"message": "out of memory"}}),
        FakeResponse.json({"error": {"message": "out of memory"}}),
        FakeResponse.json([]),
        FakeResponse(200, [b"<html>"]),
        FakeResponse(200, [b"[" * 100_000]),
        FakeResponse.json(WHOLE | {"padding": "x" * MOST_KEPT_BYTES}),
    ],
    ids=["206", "no choice", "cut", "filtered", "also an error", "an error", "a list", "HTML", "deep", "too large"],
)
def test_an_answer_that_is_not_a_finished_one_is_never_kept(world: World, response: FakeResponse) -> None:
    world.answers(lambda _: response)
    chat(world)
    world.answers(answer)
    assert outcomes(chat(world)) == ["miss"]


@pytest.mark.parametrize("failure", [ConnectFailed("refused"), TimedOut("600 s"), FakeResponse.json({}, 400)])
def test_a_failure_is_never_kept(world: World, failure: FakeResponse | UpstreamError) -> None:
    world.answers(lambda _: failure)
    assert chat(world).status_code >= 400
    world.answers(answer)
    assert outcomes(chat(world)) == ["miss"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"model":"small","temperature":"0"}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_refused_is_refused_before_the_cache(world: World, cache: Gone, body: bytes) -> None:
    assert problem(world.request("POST", CHAT_PATH, content=body))[0] == 400
    assert cache.asked == 0


def test_an_unknown_model_is_refused_before_the_cache(world: World, cache: Gone) -> None:
    assert problem(chat(world, model="x" * 10_000))[:2] == (404, "model_not_found")
    assert cache.asked == 0


def test_a_request_that_may_become_a_job_leaves_the_cache_alone(world: World, cache: Gone) -> None:
    assert outcomes(chat(world, {"prefer": "wait=5"})) == ["bypass"]
    assert cache.asked == 0
