"""Compiles schemas in a process of its own, one at a time, and keeps what came of them by their digest."""

import asyncio
import hashlib
import sys
from collections import OrderedDict

import msgspec

from jobs.ml_worker.constraints import child
from jobs.ml_worker.constraints.messages import Compilation, Outcome
from jobs.ml_worker.constraints.refusal import TooComplex
from jobs.ml_worker.engines.child import Child
from shared.core.errors import RateLimited
from shared.settings import child_environment

MOST_KEPT = 512
MOST_WAITING = 8
"""Schemas of one tenant that may wait to be compiled."""
PATIENCE_S = 20.0
"""Of the clock on the wall, on a machine that is busy with other things; see child.CPU_S."""
ENDED = Outcome(error="it takes too long to compile", code=TooComplex.code)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Outcome).decode


class SchemaCompiler:
    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Outcome] = OrderedDict()
        self._turns = Turns()
        self._child: Child | None = None

    async def outcome(self, asked: Compilation, tenant: str) -> Outcome:
        """RateLimited when the tenant has too many others waiting."""
        line = _encode(asked)
        digest = hashlib.sha256(line).digest()
        if (known := self._known(digest)) is not None:
            return known
        await self._turns.take(tenant)
        try:
            if (known := self._known(digest)) is None:
                known = self._kept[digest] = await self._compiled(line)
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            return known
        finally:
            self._turns.give()

    async def stop(self) -> None:
        if self._child:
            ending, self._child = self._child, None
            await ending.stop()

    def _known(self, digest: bytes) -> Outcome | None:
        if digest in self._kept:
            self._kept.move_to_end(digest)
        return self._kept.get(digest)

    async def _compiled(self, line: bytes) -> Outcome:
        if self._child is None:
            command = (sys.executable, "-m", child.__name__)
            self._child = await Child.start("schema compiler", command, child_environment(), reports=True)
        try:
            self._child.send(line + b"\n")
            async with asyncio.timeout(PATIENCE_S):
                told = await self._child.report()
        except (TimeoutError, BrokenPipeError):
            told = b""
        except asyncio.CancelledError:
            await self.stop()  # what it answers would be taken for the next one's
            raise
        if told:
            return _decode(told)
        await self.stop()
        return ENDED


class Turns:
    """One at a time, and the tenants in turn."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: OrderedDict[str, list[asyncio.Future[None]]] = OrderedDict()

    async def take(self, tenant: str) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        queue = self._waiting.setdefault(tenant, [])
        if len(queue) >= MOST_WAITING:
            raise RateLimited("Too many of your schemas are waiting to be compiled.", code="schemas_waiting")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()
            raise

    def give(self) -> None:
        self._is_taken = False
        while self._waiting:
            tenant, queue = self._waiting.popitem(last=False)
            turn = queue.pop(0)
            if queue:
                self._waiting[tenant] = queue  # behind the others
            if not turn.done():
                self._is_taken = True
                turn.set_result(None)
                return
