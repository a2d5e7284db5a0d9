"""Room in the engine: nobody gets more than there is, and no tenant keeps another waiting."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from jobs.ml_worker.engines.shared_context import SharedContext
from shared.core.fairness import Owner
from tests.worker.running import MODEL, RunningWorker


class Room:
    """A context of 800 tokens and 8 slots, and a record of who got in."""

    def __init__(self) -> None:
        self.context = SharedContext(800, 8)
        self.inside: list[str] = []

    @asynccontextmanager
    async def request(self, name: str, tokens: int) -> AsyncIterator[asyncio.Task[None]]:
        """A request of the tenant that the name begins with. It stays inside, if it gets in, until this is left."""

        async def stay() -> None:
            async with self.context.hold(Owner(name[0]), tokens):
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


def test_one_that_waits_for_much_holds_up_none_that_needs_little() -> None:
    async def story() -> None:
        room = Room()
        async with room.request("a1", 700), room.request("a2", 700), room.request("b1", 90), room.request("b2", 10):
            assert room.inside == ["a1", "b1", "b2"]

    asyncio.run(story())


def test_one_who_leaves_while_waiting_makes_room_for_those_behind() -> None:
    async def story() -> None:
        room = Room()
        async with room.request("a1", 700), room.request("a2", 700) as second, room.request("a3", 600) as third:
            await cancelled(third)
            async with room.request("a4", 100):
                assert room.inside == ["a1", "a4"]
            await cancelled(second)
        async with room.request("a5", 800):
            assert room.inside == ["a1", "a4", "a5"]

    asyncio.run(story())


def test_one_who_leaves_in_the_moment_of_its_turn_gives_it_on() -> None:
    async def story() -> None:
        room = Room()
        async with room.request("a1", 800) as first, room.request("b1", 700) as second, room.request("c1", 700):
            first.cancel()
            second.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
            await asyncio.sleep(0)
            assert room.inside == ["a1", "c1"]

    asyncio.run(story())


def test_a_request_larger_than_everything_gets_everything() -> None:
    async def story() -> None:
        room = Room()
        async with room.request("a1", 8000), room.request("a2", 1):
            assert room.inside == ["a1"]

    asyncio.run(story())


def test_no_bound_means_nobody_waits() -> None:
    async def story() -> None:
        context = SharedContext(0, 2)
        async with context.hold(Owner("a"), 10**9), context.hold(Owner("a"), 10**9):
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


def test_the_real_engine_keeps_what_it_has_read_of_a_long_prompt_and_the_caller_pays_for_it_as_read(
    tmp_path: Path,
) -> None:
    """Its 600 tokens are read in three chunks; the second time all but one of them are cached."""

    def usage() -> tuple[int, int]:
        answer = client.completions.create(model=MODEL, prompt=list(range(300, 900)), max_tokens=1)
        details = answer.usage and answer.usage.prompt_tokens_details
        return (answer.usage.prompt_tokens, details.cached_tokens or 0) if answer.usage and details else (0, 0)

    with RunningWorker(tmp_path) as worker, worker.wait_until_ready().openai() as client:
        assert usage() == (600, 0)
        assert usage() == (600, 599)
