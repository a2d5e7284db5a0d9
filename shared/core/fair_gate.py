"""Fair shares for asyncio: a pool's claims as contexts, and threads that tenants share."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import ParamSpec, TypeVar

from shared.core.fair_share import Amounts, Claim, FairShare, Place, reserve_of

P = ParamSpec("P")
T = TypeVar("T")


class FairGate:
    def __init__(self, capacity: Amounts, reserve: Amounts | None = None, now: Callable[[], float] = monotonic) -> None:
        """`capacity` is what a tenant alone may hold; the reserve for others lies on top, an eighth by default."""
        self.share = FairShare(capacity, reserve_of(capacity) if reserve is None else reserve, now)

    @asynccontextmanager
    async def hold(self, claim: Claim) -> AsyncIterator[None]:
        """Holds what is claimed, once it is the claim's turn."""
        place = await self.enter(claim)
        try:
            yield
        finally:
            self.share.leave(place)

    async def enter(self, claim: Claim) -> Place:
        """The claim's place, once it was let in; `share.leave` must follow."""
        turn: asyncio.Future[None] | None = None

        def admit() -> None:
            if turn and not turn.done():
                turn.set_result(None)

        place = self.share.enter(claim, admit)
        if not place.is_in:
            turn = asyncio.get_running_loop().create_future()
            try:
                await turn
            except BaseException:  # cancelled, perhaps in the moment in which it was let in
                self.share.leave(place)
                raise
        return place


class FairThreads:
    """Threads for calls that block, each of them in the name of a tenant."""

    def __init__(self, threads: int, name: str) -> None:
        """So many that one tenant may use."""
        self._gate = FairGate((threads,))
        self._executor = ThreadPoolExecutor(threads + reserve_of((threads,))[0], name)

    async def run(self, tenant: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. Where the caller stops waiting the thread is the tenant's until the call has ended."""
        loop, place = asyncio.get_running_loop(), await self._gate.enter(Claim(tenant))

        def ended(_: "Future[T]") -> None:
            if loop.is_closed():
                self._gate.share.leave(place)
            else:
                loop.call_soon_threadsafe(self._gate.share.leave, place)

        running = self._executor.submit(partial(function, *args, **kwargs))
        running.add_done_callback(ended)
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        self._executor.shutdown(wait=False)
