"""Room in an engine's context that all its running requests share.

llama.cpp keeps one pool of cells for all slots, and when a token finds none left it fails every request at once. So a
request waits here, in order of arrival, until all it may grow to is free.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SharedContext:
    def __init__(self, tokens: int) -> None:
        """`tokens` in all; 0 means no bound."""
        self._total = tokens
        self._free = tokens
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, tokens: int) -> AsyncIterator[None]:
        """Holds room for `tokens` (all there is, should they be more), once those who came before have theirs."""
        held = min(tokens, self._total)
        await self._take(held)
        try:
            yield
        finally:
            self._give(held)

    async def _take(self, tokens: int) -> None:
        if not self._waiting and tokens <= self._free:
            self._free -= tokens
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (tokens, turn)
        self._waiting.append(place)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(tokens)
            else:
                self._waiting.remove(place)
                self._give(0)  # whoever stood behind may fit
            raise

    def _give(self, tokens: int) -> None:
        self._free += tokens
        while self._waiting and self._waiting[0][0] <= self._free:
            needed, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= needed
                turn.set_result(None)
