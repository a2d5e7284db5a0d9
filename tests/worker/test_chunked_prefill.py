"""A tenant's prompts, however long and many, keep another's waiting for one turn of the engine's loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobs.ml_worker.engines.chunked_prefill import CHUNK, ChunkedPrefill, LastChunk
from jobs.ml_worker.engines.client import TEXT
from shared.core.fairness import Owner


class Engine:
    """Reads one chunk for each `turn`; a call's own chunk stays until `first` is called with its name."""

    def __init__(self) -> None:
        self.prefill = ChunkedPrefill(self, 8)
        self.reads: list[tuple[int, int]] = []
        """First token of each chunk read before a call (the tests number prompts by it), and its end."""
        self.calls: list[str] = []
        self.tokens_before: dict[str, int] = {}
        self.chunks: dict[str, LastChunk] = {}
        self._turn = asyncio.Semaphore(0)

    async def tokens(self, path: str, body: dict[str, Any]) -> list[int]:
        return list(body["prompt"])

    async def read(self, tokens: list[int]) -> int:
        self.reads.append((tokens[0], len(tokens)))
        await self._turn.acquire()
        return CHUNK

    async def turn(self) -> None:
        self._turn.release()
        await settled()

    @asynccontextmanager
    async def call(self, name: str, tokens: int) -> AsyncIterator[asyncio.Task[None]]:
        """A call of the tenant that the name begins with, whose prompt is `name[1]` again and again."""

        async def run() -> None:
            body = {"prompt": [int(name[1])] * tokens}
            async with self.prefill.last_chunk(Owner(name[0]), TEXT, body, tokens) as chunk:
                self.calls.append(name)
                self.tokens_before[name], self.chunks[name] = chunk.tokens_before, chunk
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await settled()
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await settled()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_long_prompt_is_read_in_chunks_and_the_last_with_its_call() -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", 2 * CHUNK + 5):
            await engine.turn()
            assert engine.reads == [(1, CHUNK), (1, 2 * CHUNK)]
            assert engine.calls == []
            await engine.turn()
            assert engine.calls == ["a1"]
            assert engine.tokens_before == {"a1": 2 * CHUNK}

    asyncio.run(story())


def test_what_one_of_the_last_calls_has_left_in_the_engine_is_read_no_more() -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", 2 * CHUNK):
            await engine.turn()
        async with engine.call("a1", 2 * CHUNK):
            assert engine.calls == ["a1", "a1"]
        async with engine.call("a1", 4 * CHUNK):
            await engine.turn()
            assert engine.reads == [(1, CHUNK), (1, 3 * CHUNK)]
            assert len(engine.calls) == 3

    asyncio.run(story())


def test_the_prompt_of_a_call_that_has_no_slot_any_more_is_read_anew() -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", 2 * CHUNK):
            await engine.turn()
        for _ in range(8):
            async with engine.call("b2", 1):
                pass
        async with engine.call("a1", 2 * CHUNK):
            assert engine.reads == [(1, CHUNK), (1, CHUNK)]

    asyncio.run(story())


@pytest.mark.parametrize("tokens", [1, 30, CHUNK])
def test_a_prompt_of_one_chunk_is_read_with_its_call(tokens: int) -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", tokens):
            assert (engine.reads, engine.calls, engine.tokens_before) == ([], ["a1"], {"a1": 0})

    asyncio.run(story())


def test_a_small_prompt_passes_those_of_another_tenant_at_once() -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", 9 * CHUNK), engine.call("a2", CHUNK), engine.call("b4", 30):
            assert engine.calls == ["b4"]

    asyncio.run(story())


def test_another_tenant_s_prompt_waits_for_one_chunk_of_a_flood() -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", 9 * CHUNK), engine.call("a2", CHUNK), engine.call("b4", CHUNK):
            assert engine.calls == []
            await engine.turn()
            assert engine.calls == ["b4"]

    asyncio.run(story())


def test_long_prompts_of_two_tenants_are_read_in_turns_and_one_of_each_at_a_time() -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", 4 * CHUNK), engine.call("a2", 4 * CHUNK), engine.call("b3", 3 * CHUNK):
            for _ in range(3):
                await engine.turn()
            assert [number for number, _ in engine.reads] == [1, 3, 1, 3]

    asyncio.run(story())


def test_the_next_prompt_is_read_once_the_first_token_of_the_one_before_has_come() -> None:
    async def one_block() -> AsyncIterator[bytes]:
        yield b"data: {}\n\n"

    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", CHUNK), engine.call("a2", CHUNK):
            assert engine.calls == ["a1"]
            assert [block async for block in engine.chunks["a1"].read_with(one_block())] == [b"data: {}\n\n"]
            await settled()
            assert engine.calls == ["a1", "a2"]

    asyncio.run(story())


@pytest.mark.parametrize("tokens", [CHUNK, 4 * CHUNK])
def test_one_that_leaves_gives_its_turn_on(tokens: int) -> None:
    async def story() -> None:
        engine = Engine()
        async with engine.call("a1", tokens) as first, engine.call("a2", CHUNK):
            first.cancel()
            await settled()
            assert engine.calls[-1:] == ["a2"]

    asyncio.run(story())
