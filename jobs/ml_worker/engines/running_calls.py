"""The calls that an engine is busy with, and the errors they end with when it ends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from jobs.ml_worker.engines.blocklist import Blocklist, refusal
from jobs.ml_worker.engines.refusals import starting_again
from shared.core.errors import InvalidRequest, OmniError, Unavailable, UpstreamFailed
from shared.ports.upstream import UpstreamError

CERTAIN_AFTER_S = 3.0
"""By then it is known that an engine has ended whose connections broke off."""

MOST_LEFT = 32
NO_END = "the stream ended without [DONE]"

Call = Mapping[str, Any]


class RunningCalls:
    """Of one engine, from its start to its end."""

    def __init__(self, blocklist: Blocklist) -> None:
        self._blocklist = blocklist
        self._running: list[Call] = []
        self._left: deque[Call] = deque(maxlen=MOST_LEFT)
        """Calls that were given up before they were answered: the engine may still be busy with one."""
        self._ended = asyncio.Event()
        self._stalled = False

    def require_harmless(self, call: Call) -> None:
        """InvalidRequest for a call that has ended an engine before."""
        self._blocklist.require_harmless(call)

    @asynccontextmanager
    async def run(self, call: Call) -> AsyncIterator[None]:
        """InvalidRequest for a call that has ended an engine, now or before; Unavailable for one that was there when
        the engine stood still."""
        self._blocklist.require_harmless(call)
        self._running.append(call)
        try:
            yield
            self._blocklist.prove(call)
        except (UpstreamFailed, Unavailable) as error:
            raise await self._verdict(call, error) from error
        except BaseException:
            self._left.append(call)
            raise
        finally:
            self._forget(call)

    async def end(self, how: str, *, stalled: bool) -> None:
        """Tells that the engine has ended, and how."""
        self._stalled = stalled
        await self._blocklist.blame(self._running, self._left, how, stalled=stalled)
        self._ended.set()

    def close(self) -> None:
        """The engine is being stopped, and no call is to blame."""
        self._ended.set()

    async def _verdict(self, call: Call, error: OmniError) -> OmniError:
        if not isinstance(error.__cause__, UpstreamError) and error.detail != NO_END:
            return error
        try:
            async with asyncio.timeout(CERTAIN_AFTER_S):
                await self._ended.wait()
        except TimeoutError:
            return error
        try:
            self._blocklist.require_harmless(call)
        except InvalidRequest:
            return refusal(call)
        if self._stalled:
            return starting_again(code="model_stalled")
        return error

    def _forget(self, call: Call) -> None:
        self._running = [each for each in self._running if each is not call]
