"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from jobs.ml_worker.completions.merge import merged


class Counted:
    """Streams that tell how many of them are open."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0

    async def stream(self, *parts: str | Exception) -> AsyncGenerator[str]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            for part in parts:
                await asyncio.sleep(0)
                if isinstance(part, Exception):
                    raise part
                yield part
        finally:
            self.open -= 1


def test_all_parts_come_and_no_more_streams_run_than_allowed() -> None:
    counted = Counted()

    async def story() -> list[str]:
        sources = [counted.stream(f"{name}1", f"{name}2") for name in "abcde"]
        return [part async for part in merged(sources, at_once=2)]

    parts = asyncio.run(story())
    assert sorted(parts) == sorted(f"{name}{number}" for name in "abcde" for number in (1, 2))
    assert counted.most == 2
    assert parts.index("a1") < parts.index("a2")


def test_the_first_error_stops_the_others() -> None:
    counted = Counted()

    async def story() -> None:
        sources = [counted.stream("a", ValueError("broken")), counted.stream(*"bcdefgh")]
        with pytest.raises(ValueError, match="broken"):
            async for _ in merged(sources, at_once=2):
                pass
        assert counted.open == 0

    asyncio.run(story())


def test_leaving_stops_all() -> None:
    counted = Counted()

    async def story() -> None:
        async with aclosing(merged([counted.stream(*"abc"), counted.stream(*"def")], at_once=2)) as parts:
            await anext(parts)
        await asyncio.sleep(0)
        assert counted.open == 0

    asyncio.run(story())
