"""Room in the context: nobody gets more than there is, and nobody overtakes."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from jobs.ml_worker.engines.shared_context import SharedContext
from tests.worker.running import MODEL, RunningWorker


class Room:
    """A context of 100 tokens, and a record of who got in."""

    def __init__(self) -> None:
        self.context = SharedContext(100)
        self.inside: list[str] = []

    @asynccontextmanager
    async def request(self, name: str, tokens: int) -> AsyncIterator[asyncio.Task[None]]:
        """A request that stays inside, if it gets in, until this context is left."""

        async def stay() -> None:
            async with self.context.hold(tokens):
                self.inside.append(name)
                await asyncio.Event().wait()

        task = asyncio.create_task(stay())
        await asyncio.sleep(0)
        try:
            yield task
        finally:
            await cancelled(task)


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)


def test_requests_enter_in_order_as_room_comes_free() -> None:
    async def story() -> None:
        room = Room()
        async with room.request("a", 60), room.request("b", 50), room.request("c", 10):
            assert room.inside == ["a"]  # c would fit, but b came first
        assert room.inside == ["a"]

        async with room.request("d", 60) as d, room.request("e", 50), room.request("f", 10):
            await cancelled(d)
            assert room.inside[-2:] == ["e", "f"]

    asyncio.run(story())


def test_one_who_leaves_while_waiting_makes_room_for_those_behind() -> None:
    async def story() -> None:
        room = Room()
        async with room.request("a", 60), room.request("b", 50) as b, room.request("c", 10):
            await cancelled(b)
            assert room.inside == ["a", "c"]
            async with room.request("d", 30):
                assert room.inside == ["a", "c", "d"]

    asyncio.run(story())


def test_a_request_larger_than_everything_gets_everything() -> None:
    async def story() -> None:
        room = Room()
        async with room.request("a", 1000), room.request("b", 1):
            assert room.inside == ["a"]

    asyncio.run(story())


def test_no_bound_means_nobody_waits() -> None:
    async def story() -> None:
        context = SharedContext(0)
        async with context.hold(10**9), context.hold(10**9):
            pass

    asyncio.run(story())


def test_the_real_engine_answers_all_when_together_they_are_too_many(tmp_path: Path) -> None:
    """Eight requests that grow to 130 tokens in a context of 512: left to itself the engine would fail them all."""

    def tokens(number: int) -> int:
        prompt = f"{number} " + "word " * 100
        answer = client.completions.create(model=MODEL, prompt=prompt, max_tokens=30, extra_body={"ignore_eos": True})
        return answer.usage.completion_tokens if answer.usage else 0

    with RunningWorker(tmp_path, OMNI_WORKER_CONTEXT="512") as worker, worker.wait_until_ready().openai() as client:
        pool = ThreadPoolExecutor(8)
        assert list(pool.map(tokens, range(8))) == [30] * 8
        pool.shutdown()
