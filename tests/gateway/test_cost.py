"""What an answer costs is told with it: in a header, or at a stream's end."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from shared.ports.upstream import BrokenOff, OutgoingRequest
from tests.fakes import FakeResponse
from tests.gateway.answers import DONE, STREAM, USAGE, WHOLE, events, sse
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import CATALOGUE, CHAT, COMPLETION, World

PRICED = CATALOGUE.replace('id = "small"', 'id = "small"\nprice = { input = 2.0, output = 10 }')
CHAT_PATH = "/v1/chat/completions"
USED = "0.000056"
"""3 tokens in, 5 out."""
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def catalogue(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "priced.toml"
    path.write_text(text)
    return path


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, models_file=catalogue(tmp_path, PRICED))
    world.answers(answer)
    return world


def answer(request: OutgoingRequest) -> FakeResponse:
    """The worker's: it tells its usage in any case."""
    return FakeResponse.stream(*STREAM, USAGE, DONE) if b'"stream"' in request.body else FakeResponse.json(WHOLE)


def cost_of(response: httpx.Response) -> str | None:
    told: str | None = response.headers.get("x-omni-cost-usd")
    return told


def charged() -> float:
    return REGISTRY.get_sample_value("omni_cost_usd_total", {"tenant": "acme", "model": "small"}) or 0.0


def test_a_whole_answer_tells_its_cost_in_a_header(world: World) -> None:
    before = charged()
    assert cost_of(world.chat()) == USED
    assert charged() - before == pytest.approx(float(USED))


def test_a_stream_tells_its_cost_in_a_comment_before_its_end(world: World) -> None:
    before = charged()
    response = world.chat(stream=True)
    assert response.text.endswith(f": x-omni-cost-usd: {USED}\n\ndata: [DONE]\n\n")
    assert charged() - before == pytest.approx(float(USED))


def test_a_stream_tells_its_cost_with_the_usage_it_was_asked_for(world: World) -> None:
    *_, last = events(world.chat(**WITH_USAGE).content)
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, "cost_usd": 0.000056}


def test_usage_that_nobody_asked_for_is_not_passed_on(world: World) -> None:
    assert all("usage" not in each for each in events(world.chat(stream=True).content))


@pytest.mark.parametrize("line_end", [b"\n\n", b"\r\n\r\n"])
def test_a_stream_without_usage_costs_a_token_for_each_event(world: World, line_end: bytes) -> None:
    parts = [part.replace(b"\n\n", line_end) for part in [*STREAM, DONE]]
    world.answers(lambda _: FakeResponse.stream(*parts))
    assert ": x-omni-cost-usd: 0.000076\n" in world.chat(stream=True).text


def test_an_answer_without_usage_is_not_free(world: World) -> None:
    world.answers(lambda _: FakeResponse.json(COMPLETION | {"usage": None}))
    assert cost_of(world.chat()) == "0.00004"


def test_tokens_cached_upstream_have_their_own_price(tmp_path: Path) -> None:
    text = PRICED.replace("output = 10", "output = 10, cached_input = 0.5")
    world = World(tmp_path, models_file=catalogue(tmp_path, text))
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 60}}
    world.answers(lambda _: FakeResponse.json(COMPLETION | {"usage": usage}))
    assert cost_of(world.chat()) == "0.00012"


def test_a_model_may_be_priced_by_time(tmp_path: Path) -> None:
    text = PRICED.replace("{ input = 2.0, output = 10 }", "{ per_second = 0.0002, per_request = 0.01 }")
    world = World(tmp_path, models_file=catalogue(tmp_path, text))

    def slow(_: object) -> FakeResponse:
        world.clock.advance(2.5)
        return FakeResponse.json(COMPLETION)

    world.answers(slow)
    assert cost_of(world.chat()) == "0.0105"


def test_what_is_free_says_so_and_what_has_no_price_says_nothing(tmp_path: Path) -> None:
    text = PRICED.replace("{ input = 2.0, output = 10 }", "{ per_second = 0 }")
    world = World(tmp_path, models_file=catalogue(tmp_path, text))
    assert cost_of(world.chat()) == "0"
    assert cost_of(world.chat(model="elsewhere")) is None


def test_the_fallback_price_is_for_models_without_one(tmp_path: Path) -> None:
    text = "[prices]\nfallback = { output = 1 }\n" + PRICED
    world = World(tmp_path, models_file=catalogue(tmp_path, text))
    assert cost_of(world.chat(model="elsewhere")) == "0.000005"
    assert cost_of(world.chat()) == USED


def test_cached_and_replayed_answers_cost_nothing(world: World) -> None:
    assert [cost_of(world.chat(temperature=0)) for _ in range(2)] == [USED, "0"]
    once = {"idempotency-key": "k1"}
    assert [cost_of(world.request("POST", CHAT_PATH, headers=once, json=CHAT)) for _ in range(2)] == [USED, "0"]


def test_a_stream_from_the_cache_does_not_tell_what_the_first_one_cost(world: World) -> None:
    world.chat(temperature=0, **WITH_USAGE)
    again = world.chat(temperature=0, **WITH_USAGE)
    assert cost_of(again) == "0"
    assert b"cost" not in again.content


def test_a_refused_request_costs_nothing(world: World) -> None:
    before = charged()
    world.answers(lambda _: FakeResponse.json({"error": {"message": "no"}}, 400))
    assert cost_of(world.chat()) is None
    assert charged() == before


def test_a_stream_that_breaks_off_costs_what_came(world: World) -> None:
    before = charged()
    world.answers(lambda _: FakeResponse.stream(*STREAM[:3], BrokenOff("reset")))
    world.chat(stream=True)
    assert charged() - before == pytest.approx(0.000066)


def test_a_stream_whose_caller_leaves_costs_what_came(tmp_path: Path) -> None:
    before = charged()

    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse.stream(*STREAM, USAGE, DONE))
        world = World(tmp_path, upstream, models_file=catalogue(tmp_path, PRICED))
        call = Call(world, {"stream": True})
        upstream.gate.release()
        upstream.gate.release()
        await until(lambda: call.parts, "the first part")
        call.leave()
        await call.done()

    asyncio.run(run())
    assert charged() - before == pytest.approx(0.00006)


@pytest.mark.parametrize(
    ("asked", "seconds", "cost"),
    [
        ({"max_tokens": 100}, 60, 0.001042),
        ({"max_tokens": 5000}, 2, 0.020042),
        ({"max_tokens": 5000, "n": 3}, 2, 0.060046),
        ({"max_tokens": 100, "n": 3}, 60, 0.003046),
    ],
)
def test_a_whole_answer_whose_caller_leaves_costs_what_may_have_been_made_by_then(
    tmp_path: Path, asked: dict[str, Any], seconds: float, cost: float
) -> None:
    before = charged()

    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse.json(COMPLETION))
        world = World(tmp_path, upstream, models_file=catalogue(tmp_path, PRICED))
        call = Call(world, asked)
        await until(lambda: upstream.requests, "the upstream is asked")
        world.clock.advance(seconds)
        call.leave()
        await call.done()

    asyncio.run(run())
    assert charged() - before == pytest.approx(cost)


def test_usage_on_every_event_is_passed_on_and_counts_once(world: World) -> None:
    """As vLLM tells it with `continuous_usage_stats`: the last one counts."""
    parts = [
        sse(
            {
                "choices": [{"index": 0, "delta": {"content": "a"}}],
                "usage": {"prompt_tokens": 3, "completion_tokens": n},
            }
        )
        for n in (1, 5)
    ]
    world.answers(lambda _: FakeResponse.stream(*parts, DONE))
    text = world.chat(stream=True).text
    assert text.count('"usage"') == 2
    assert f": x-omni-cost-usd: {USED}\n" in text
