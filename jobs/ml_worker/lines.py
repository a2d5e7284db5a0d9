"""Works through the lines of a chunk, several at a time where slots are free, and saves every few of them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import Paused
from shared.batches.input import Asked
from shared.batches.parts import Result
from shared.core.errors import Unavailable
from shared.core.fair_share import Place
from shared.core.fairness import Owner

Answer = Callable[[Asked], Awaitable[Result]]
"""Gives a line's outcome, which may be an error; Unavailable when none can be had now, for any line."""
Save = Callable[[list[Result]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    most_unsaved: int = 50
    """Lines begun and not saved: what a killed worker costs at most."""
    save_at: int = 25
    save_each_s: float = 30.0
    slice_s: float = 120.0
    """Then the chunk goes back to the end of the queue, so that others get the slot."""
    helpers: bool = True
    """Whether lines may use slots beside the one that the job holds."""


CAREFUL = Pace(most_unsaved=1, save_at=1, helpers=False)
"""For a chunk that has ended its worker again and again: the line that does so is the first that is not saved."""


class LineRun:
    """One run through some lines."""

    def __init__(self, answer: Answer, save: Save, slots: Slots, owner: Owner, pace: Pace) -> None:
        self._answer = answer
        self._write = save
        self._slots = slots
        self._owner = owner
        self._pace = pace
        self._room = asyncio.Semaphore(pace.most_unsaved)
        self._saving = asyncio.Lock()
        self._results: list[Result] = []
        self._left: deque[Asked] = deque()
        self._over = asyncio.Event()
        self._failure: Unavailable | None = None

    async def through(self, lines: Iterable[Asked]) -> None:
        """Returns when all lines are done and saved. Unavailable or Paused when some are left; whatever ends it,
        what was done is saved."""
        self._left.extend(lines)
        self._end = asyncio.get_running_loop().time() + self._pace.slice_s
        helpers = min(self._slots.total, len(self._left)) - 1 if self._pace.helpers else 0
        try:
            async with asyncio.TaskGroup() as group:
                saving = group.create_task(self._save_now_and_then())
                await asyncio.wait(
                    [group.create_task(self._work()), *(group.create_task(self._help()) for _ in range(helpers))]
                )
                saving.cancel()
        finally:
            await self._save()
        if self._failure:
            raise self._failure
        if self._left:
            raise Paused

    async def _work(self) -> None:
        """Lines one after the other, on the slot that the job holds."""
        while line := self._next():
            await self._do(line)

    async def _help(self) -> None:
        """Lines on further slots. Each is given back after a line, so that tenants take turns."""
        while not self._over.is_set() and (slot := await self._further_slot()):
            try:
                if line := self._next():
                    await self._do(line)
            finally:
                self._slots.release(slot)

    async def _further_slot(self) -> Place | None:
        """Once it is the owner's turn; None when no line is left by then."""
        acquiring, over = (
            asyncio.ensure_future(self._slots.acquire(self._owner)),
            asyncio.ensure_future(self._over.wait()),
        )
        try:
            await asyncio.wait({acquiring, over}, return_when=asyncio.FIRST_COMPLETED)
            return acquiring.result() if acquiring.done() else None
        except asyncio.CancelledError:
            if acquiring.done():
                self._slots.release(acquiring.result())
            raise
        finally:
            over.cancel()
            acquiring.cancel()

    def _next(self) -> Asked | None:
        if self._left and not self._failure and asyncio.get_running_loop().time() < self._end:
            return self._left.popleft()
        self._over.set()
        return None

    async def _do(self, line: Asked) -> None:
        await self._room.acquire()
        try:
            result = await self._answer(line)
        except Unavailable as error:
            self._failure = error
            self._left.append(line)
            self._room.release()
            return
        self._results.append(result)
        if len(self._results) >= self._pace.save_at:
            await self._save()

    async def _save(self) -> None:
        async with self._saving:
            results = self._results[:]
            if results:
                await self._write(results)
            del self._results[: len(results)]
            for _ in results:
                self._room.release()

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._pace.save_each_s)
            await self._save()
