"""Several streams as one, in the order in which their parts come."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


async def merged(sources: Iterable[AsyncGenerator[T]], at_once: int) -> AsyncGenerator[T]:
    """All parts of all sources, of which `at_once` run at the same time. The first error ends it and stops the rest."""
    waiting = iter(sources)
    running = {_next(source): source for source in islice(waiting, at_once)}
    try:
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = running.pop(task)
                if parts := task.result():
                    running[_next(source)] = source
                    yield parts[0]
                else:
                    running |= {_next(source): source for source in islice(waiting, 1)}
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for source in running.values():
            await source.aclose()


def _next(source: AsyncGenerator[T]) -> asyncio.Task[list[T]]:
    """Fetches the source's next part; none when it has ended."""

    async def fetch() -> list[T]:
        async for part in source:
            return [part]
        return []

    return asyncio.create_task(fetch())
