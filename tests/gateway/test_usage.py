"""The tokens of every answer are counted: as its server tells them, and by what came where it does not."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.ports.upstream import BrokenOff
from tests.fakes import FakeResponse
from tests.gateway.answers import ASKED_STREAM, DONE, STREAM, USAGE, answer, event, events, said
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import World

ASKING: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
WHOLE_STREAM = b"".join([*STREAM, USAGE, DONE])


def counted(model: str = "small") -> tuple[float, float]:
    """Tokens in and out, of the tenant that the tests are."""
    both = ({"tenant": "acme", "model": model, "direction": direction} for direction in ("input", "output"))
    tokens_in, tokens_out = (REGISTRY.get_sample_value("omni_tokens_total", labels) or 0 for labels in both)
    return tokens_in, tokens_out


def cut(size: int) -> FakeResponse:
    return FakeResponse.stream(*(WHOLE_STREAM[at : at + size] for at in range(0, len(WHOLE_STREAM), size)))


@pytest.mark.parametrize("size", [1, 7, 200, 10_000])
def test_a_stream_is_counted_and_its_count_told_to_those_who_ask(world: World, size: int) -> None:
    world.answers(lambda _: cut(size))
    before = counted()
    assert world.chat(**ASKING).content == b"".join([*ASKED_STREAM, USAGE, DONE])
    assert world.chat(stream=True).content == b"".join([*STREAM, DONE])
    assert (counted()[0] - before[0], counted()[1] - before[1]) == (6, 10)


def test_a_count_beside_the_last_words_takes_nothing_away(world: World) -> None:
    last = event({"content": "."}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 5})
    world.answers(lambda _: FakeResponse.stream(last, DONE))
    before = counted()
    assert world.chat(stream=True).content == last + DONE
    assert counted()[1] - before[1] == 5


def test_servers_elsewhere_are_asked_to_count_streams(world: World) -> None:
    world.answers(answer)
    before = counted("elsewhere")
    response = world.chat(model="elsewhere", stream=True, stream_options={"include_usage": False, "more": 1})
    asked = json.loads(world.upstream.requests[-1].body)
    assert asked["stream_options"] == {"include_usage": True, "more": 1}
    assert asked["model"] == "big-1"
    assert "usage" not in events(response.content)[-1]
    assert said(response.content) == "Hello."
    assert counted("elsewhere")[1] - before[1] == 5
    world.chat(model="elsewhere", stream=True)
    assert json.loads(world.upstream.requests[-1].body)["stream_options"] == {"include_usage": True}
    world.chat(model="elsewhere")
    assert "stream_options" not in json.loads(world.upstream.requests[-1].body)


def test_what_else_stands_in_the_options_of_a_stream_passes_through_as_it_came(world: World) -> None:
    """Python has no number for it, and the caller's own input may not be a failure of ours."""
    content = b'{"model":"elsewhere","stream":true,"messages":[],"stream_options":{"more":1e999}}'
    assert world.request("POST", "/v1/chat/completions", content=content).status_code == 200
    assert b'"stream_options":{"more":1e999,"include_usage":true}' in world.upstream.requests[0].body


def test_a_server_that_knows_no_stream_options_is_left_alone(tmp_path: Path) -> None:
    row = '[[model]]\nid = "plain"\nupstreams = [{ url = "https://x.example/v1", stream_usage = false }]\n'
    world = World(tmp_path, limits=row)
    world.answers(answer)
    before = counted("plain")
    world.chat(model="plain", stream=True)
    assert "stream_options" not in json.loads(world.upstream.requests[-1].body)
    assert counted("plain")[1] - before[1] == len(STREAM)


def test_an_error_that_the_server_tells_of_is_the_last_event(world: World) -> None:
    told = b'data: {"error": {"message": "The model is starting again.", "code": "model_loading"}}\n\n'
    world.answers(lambda _: FakeResponse.stream(*STREAM[:2], told))
    *events, last = world.chat(stream=True).content.split(b"\n\n")[:-1]
    assert b"".join(event + b"\n\n" for event in events) == b"".join(STREAM[:2])
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == ("model_loading", "The model is starting again.")


def test_a_broken_stream_is_counted_by_what_came(world: World) -> None:
    world.answers(lambda _: FakeResponse.stream(*STREAM[:3], BrokenOff("reset")))
    before = counted()
    world.chat(stream=True)
    assert counted()[1] - before[1] == 3
    assert counted()[0] > before[0]


def test_a_caller_who_leaves_a_stream_is_charged_for_what_came(tmp_path: Path) -> None:
    upstream = GatedUpstream(lambda _: FakeResponse.stream(*STREAM, DONE))
    world = World(tmp_path, upstream)
    before = counted()

    async def run() -> None:
        call = Call(world, {"stream": True})
        upstream.gate.release()
        upstream.gate.release()
        await until(lambda: len(call.parts) == 2, "two parts have come")
        call.leave()
        await call.done()

    asyncio.run(run())
    assert counted()[1] - before[1] == 2


def test_a_count_that_was_guessed_is_not_kept_as_if_it_was_told(world: World) -> None:
    world.answers(lambda _: FakeResponse.stream(*STREAM, DONE))
    world.chat(stream=True, temperature=0)
    whole = world.chat(temperature=0, **ASKING)
    assert whole.headers["x-omni-cache"] == "miss"


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_parts_say_that_the_usage_comes_later_however_their_lines_end(world: World, end: bytes) -> None:
    stream = b"".join([*STREAM, DONE]).replace(b"\n\n", end)
    world.answers(lambda _: FakeResponse.stream(b"data: {}" + end, stream))
    parts = events(world.chat(**ASKING).content.replace(b"\r\n", b"\n"))
    *usages, last = [part.get("usage", "none") for part in parts]
    assert usages == ["none", *[None] * len(STREAM)]
    assert last["completion_tokens"] == len(STREAM)
