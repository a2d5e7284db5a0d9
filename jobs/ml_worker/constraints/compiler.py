"""Compiles schemas in a process of its own, one at a time, and keeps what came of them by their digest."""

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from cachetools import LRUCache

from jobs.ml_worker.constraints import child
from jobs.ml_worker.constraints.messages import Compilation, Outcome
from jobs.ml_worker.constraints.refusal import TooComplex
from jobs.ml_worker.engines.child import Child
from shared.core.errors import RateLimited
from shared.core.fair_gate import FairGate
from shared.core.fair_share import Claim
from shared.settings import child_environment

MOST_KEPT = 512
MOST_OF_A_TENANT = 9
"""Schemas that may wait to be compiled, with the one that is."""
PATIENCE_S = 20.0
"""Of the clock on the wall, on a machine that is busy with other things; see child.CPU_S."""
ENDED = Outcome(error="it takes too long to compile", code=TooComplex.code)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Outcome).decode


class SchemaCompiler:
    def __init__(self) -> None:
        self._kept: LRUCache[bytes, Outcome] = LRUCache(MOST_KEPT)
        self._gate = FairGate((1,), (0,))
        self._asked: Counter[str] = Counter()
        """By tenant."""
        self._child: Child | None = None

    async def outcome(self, asked: Compilation, tenant: str) -> Outcome:
        """RateLimited when the tenant has too many others waiting."""
        line = _encode(asked)
        digest = hashlib.sha256(line).digest()
        if (known := self._kept.get(digest)) is not None:
            return known
        async with self._turn(tenant):
            if (known := self._kept.get(digest)) is None:
                known = self._kept[digest] = await self._compiled(line)
            return known

    async def stop(self) -> None:
        if self._child:
            ending, self._child = self._child, None
            await ending.stop()

    @asynccontextmanager
    async def _turn(self, tenant: str) -> AsyncIterator[None]:
        if self._asked[tenant] >= MOST_OF_A_TENANT:
            raise RateLimited("Too many of your schemas are waiting to be compiled.", code="schemas_waiting")
        self._asked[tenant] += 1
        try:
            async with self._gate.hold(Claim(tenant)):
                yield
        finally:
            self._asked -= Counter({tenant: 1})

    async def _compiled(self, line: bytes) -> Outcome:
        if self._child is None:
            command = (sys.executable, "-m", child.__name__)
            self._child = await Child.start("schema compiler", command, child_environment(), reports=True)
        try:
            self._child.send(line + b"\n")
            async with asyncio.timeout(PATIENCE_S):
                report = await self._child.report()
        except (TimeoutError, BrokenPipeError):
            report = b""
        except asyncio.CancelledError:
            await self.stop()  # what it answers would be taken for the next one's
            raise
        if report:
            return _decode(report)
        await self.stop()
        return ENDED
