"""Many who ask the same at the same time: the model is asked once, and everybody gets its answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from functions.gateway.flight import Flight
from functions.gateway.kept_answers import Question
from functions.gateway.recording import MOST_BYTES
from shared.adapters.redis_cache import RedisCache
from shared.ports.upstream import TimedOut
from shared.redis import connect
from tests.fakes import FakeResponse
from tests.gateway import answers
from tests.gateway.answers import ASKED_STREAM, STREAM, answer, tokens_out
from tests.gateway.calls import Call, GatedUpstream, WrittenDown, bare_exchange, until
from tests.gateway.conftest import World
from tests.redis_server import running

WHOLE = {"temperature": 0}
STREAMED = WHOLE | {"stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("fields", [WHOLE, STREAMED], ids=["whole", "stream"])
def test_a_stampede_costs_one_call(tmp_path: Path, fields: dict[str, Any]) -> None:
    async def run() -> None:
        upstream = GatedUpstream(answer)
        world = World(tmp_path, upstream)
        calls = [Call(world, fields) for _ in range(50)]
        await until(lambda: upstream.requests, "the model is asked")
        upstream.open()
        for call in calls:
            await call.done()
        assert len(upstream.requests) == 1
        assert {(call.status, call.body) for call in calls} == {(200, calls[0].body)}
        assert sorted(call.headers["x-omni-cache"] for call in calls) == ["hit"] * 49 + ["miss"]

    asyncio.run(run())


def test_a_follower_gets_the_parts_of_a_stream_as_they_come(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(answer)
        world = World(tmp_path, upstream)
        leader = Call(world, STREAMED)
        await until(lambda: upstream.requests, "the model is asked")
        upstream.gate.release()
        upstream.gate.release()
        await until(lambda: leader.parts, "the first part comes, with the role")
        late = Call(world, STREAMED)
        begin = b"".join(ASKED_STREAM[:2])
        await until(lambda: late.parts == [begin], "a late caller gets what was said before")
        upstream.gate.release()
        await until(lambda: late.parts == leader.parts == [begin, ASKED_STREAM[2]], "both get the next part")
        upstream.open()
        assert (await late.done()).body == (await leader.done()).body

    asyncio.run(run())


def test_a_follower_is_told_its_own_request_and_its_own_limits(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(answer)
        world = World(tmp_path, upstream)
        leader, follower = Call(world, WHOLE), Call(world, WHOLE, key="prod-key-acme-2")
        await until(lambda: upstream.requests, "the model is asked")
        upstream.open()
        await leader.done()
        await follower.done()
        assert follower.headers["x-request-id"] != leader.headers["x-request-id"]
        assert follower.headers["x-ratelimit-remaining-requests"] == "999"
        assert set(follower.headers) - set(leader.headers) == {"age", "x-omni-cost-usd"}

    asyncio.run(run())


@pytest.mark.parametrize("fields", [WHOLE, STREAMED], ids=["whole", "stream"])
def test_when_the_first_caller_leaves_the_others_still_get_the_answer(tmp_path: Path, fields: dict[str, Any]) -> None:
    async def run() -> None:
        upstream = GatedUpstream(answer)
        world = World(tmp_path, upstream)
        before = tokens_out()
        leader = Call(world, fields)
        await until(lambda: upstream.requests, "the model is asked")
        followers = [Call(world, fields) for _ in range(3)]
        leader.leave()
        followers[0].leave()
        await followers[0].done()
        assert not upstream.left_alone.is_set()
        upstream.open()
        for follower in followers[1:]:
            assert (await follower.done()).status == 200
        await leader.done()
        assert (len(upstream.requests), tokens_out() - before) == (1, 5)
        assert (await Call(world, fields).done()).headers["x-omni-cache"] == "hit"

    asyncio.run(run())


def test_when_all_have_left_the_model_is_stopped_and_the_next_one_asks_it_anew(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(answer)
        world = World(tmp_path, upstream)
        calls = [Call(world, WHOLE) for _ in range(3)]
        await until(lambda: upstream.requests, "the model is asked")
        for call in calls:
            call.leave()
        for call in calls:
            await call.done()
        assert upstream.left_alone.is_set()
        upstream.open()
        assert (await Call(world, WHOLE).done()).headers["x-omni-cache"] == "miss"
        assert len(upstream.requests) == 2

    asyncio.run(run())


def test_a_failure_is_told_to_all_who_waited_and_the_model_was_asked_once(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse(200, [b"{", TimedOut("600 s")]))
        world = World(tmp_path, upstream)
        calls = [Call(world, WHOLE) for _ in range(5)]
        await until(lambda: upstream.requests, "the model is asked")
        upstream.open()
        for call in calls:
            assert (await call.done()).status == 504
        assert len({json.loads(call.body)["request_id"] for call in calls}) == 5
        assert len(upstream.requests) == 1

    asyncio.run(run())


def test_a_stream_that_breaks_off_ends_with_an_error_event_for_all(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse.stream(*STREAM[:2], TimedOut("600 s")))
        world = World(tmp_path, upstream)
        calls = [Call(world, STREAMED) for _ in range(3)]
        await until(lambda: upstream.requests, "the model is asked")
        upstream.open()
        for call in calls:
            await call.done()
            assert call.parts[0] == b"".join(ASKED_STREAM[:2])
            assert b'"upstream_timeout"' in call.parts[1]

    asyncio.run(run())


def test_two_instances_that_share_a_redis_ask_the_model_once(tmp_path: Path) -> None:
    async def run(clients: list[Redis]) -> None:
        upstream = GatedUpstream(answer)
        worlds = [World(tmp_path, upstream, cache=RedisCache(client)) for client in clients]
        calls = [Call(worlds[n % 2], WHOLE) for n in range(20)]
        await until(lambda: upstream.requests, "the model is asked")
        await asyncio.sleep(0.3)  # time for a second one, if there were
        upstream.open()
        bodies = {(await call.done()).body for call in calls}
        assert (len(bodies), len(upstream.requests)) == (1, 1)

    with running(tmp_path) as server, server.client() as one, server.client() as other:
        asyncio.run(run([one, other]))


def test_a_stampede_costs_one_call_also_when_redis_is_away(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(answer)
        world = World(tmp_path, upstream, cache=RedisCache(connect("redis://127.0.0.1:1", lambda: None)))
        calls = [Call(world, WHOLE) for _ in range(10)]
        await until(lambda: upstream.requests, "the model is asked")
        upstream.open()
        for call in calls:
            assert (await call.done()).status == 200
        assert len(upstream.requests) == 1

    asyncio.run(run())


def test_an_answer_too_large_to_share_is_made_for_each(tmp_path: Path) -> None:
    async def run() -> None:
        large = answers.WHOLE | {"padding": "x" * MOST_BYTES}
        upstream = GatedUpstream(lambda _: FakeResponse.json(large))
        world = World(tmp_path, upstream)
        calls = [Call(world, WHOLE) for _ in range(2)]
        await until(lambda: upstream.requests, "the model is asked")
        upstream.open()
        assert [json.loads((await call.done()).body) for call in calls] == [large, large]
        assert len(upstream.requests) == 2

    asyncio.run(run())


def test_a_first_caller_who_does_not_read_its_stream_does_not_hold_up_the_others() -> None:
    async def run() -> None:
        got = WrittenDown()
        first = bare_exchange(WrittenDown(reads=False))
        flight = Flight(first, Question("any", as_stream=True, with_usage=False), lambda _: None, patience_s=0.05)
        first.flight = flight
        following = asyncio.create_task(flight.follow(bare_exchange(got), lambda *_: None))
        await asyncio.sleep(0)
        await first.begin(200, [(b"content-type", b"text/event-stream")])
        for part in (*STREAM, b""):
            await first.write(part, more=bool(part))
        flight.end()
        assert await following
        assert got.parts == [*STREAM, b""]

    asyncio.run(run())
