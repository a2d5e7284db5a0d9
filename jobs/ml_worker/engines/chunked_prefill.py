"""Chunked prefill for llama.cpp: long prompts are read in chunks, and no tenant's prompts keep another's waiting.

llama.cpp reads the prompts of its slots one after the other, each to its end, so that a small request waited for every
long prompt that was in front of it. Here the prompts that it has to read at once are no more than a turn of its loop
takes, and tenants take turns (shared.core.fair_share). What was read of a prompt waits in its slot for the rest.

A chunk makes the engine forget what it had cached beyond it. So the first one ends behind what the prompt has in common
with one of the last calls, each of which has its slot still.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

from jobs.ml_worker.engines.llama_server import BATCH
from shared.core.fair_gate import FairGate
from shared.core.fair_share import Claim, FairShare, Place
from shared.core.fairness import Owner

CHUNK = BATCH // 2
MOST_AT_ONCE = BATCH * 3 // 4
"""Tokens that are read at the same time, so that small prompts have room beside a chunk in one turn of the loop ..."""
RESERVE = BATCH // 8
"""... and those of other tenants in any case."""


class Reader(Protocol):
    """The engine, as EngineClient is."""

    async def tokens(self, path: str, body: dict[str, Any]) -> list[int]: ...
    async def read(self, tokens: list[int]) -> int: ...


@dataclass(slots=True)
class LastChunk:
    """The engine reads it with the call itself."""

    share: FairShare
    place: Place
    tokens_before: int
    """Of the chunks before it, those that the engine did not have in its cache."""
    is_read: bool = False

    def end(self) -> None:
        """The next prompts may be read."""
        if not self.is_read:
            self.is_read = True
            self.share.leave(self.place)

    async def read_with(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The call's blocks: with the first one the prompt has been read."""
        async for block in blocks:
            self.end()
            yield block


class ChunkedPrefill:
    def __init__(self, engine: Reader, slots: int) -> None:
        self._engine = engine
        self._last_prompts: deque[list[int]] = deque(maxlen=slots)
        """Of the calls that have a slot, those that are long; others are empty."""
        self._gate = FairGate((MOST_AT_ONCE,), (RESERVE,))
        self._long_prompts: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By tenant: one of its long prompts at a time, so that few slots hold a prompt that is read in part."""

    @asynccontextmanager
    async def last_chunk(self, owner: Owner, path: str, body: dict[str, Any], prompt: int) -> AsyncIterator[LastChunk]:
        """Has the engine read a prompt of so many tokens, all but what is read with the call."""
        tokens = await self._engine.tokens(path, body) if prompt > CHUNK else []
        cached = max((_common(tokens, last) for last in self._last_prompts), default=0)
        ends = range(cached + CHUNK, len(tokens), CHUNK)
        read = await self._read(owner, [tokens[:end] for end in ends]) if ends else 0
        place = await self._gate.enter(_claim(owner, prompt - (ends[-1] if ends else cached)))
        self._last_prompts.append(tokens)
        chunk = LastChunk(self._gate.share, place, read)
        try:
            yield chunk
        finally:
            chunk.end()

    async def _read(self, owner: Owner, beginnings: list[list[int]]) -> int:
        """How many of the tokens were not in the engine's cache."""
        read = 0
        async with self._long_prompts.setdefault(owner.tenant, asyncio.Lock()):
            for tokens in beginnings:
                async with self._gate.hold(_claim(owner, CHUNK)):
                    read += await self._engine.read(tokens)
        return read


def _claim(owner: Owner, tokens: int) -> Claim:
    return Claim(owner.tenant, (tokens,), owner.weight)


def _common(one: list[int], other: list[int]) -> int:
    """Tokens with which both begin."""
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)
