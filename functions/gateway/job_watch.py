"""Jobs under watch: one look at the store serves everyone in this process who watches the same job.

After a change the store is looked at soon, then ever less often: each pause is a share of the time since the change. A
look costs one read, and one more while the job is queued.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from shared.core.errors import NotFound, Unavailable
from shared.core.fair_gate import FairThreads
from shared.core.jobs import Job
from shared.jobs.reading import JobReader
from shared.ports.clock import Clock

SHORTEST_PAUSE_S, LONGEST_PAUSE_S, SHARE = 0.1, 2.0, 0.1
THREADS = 8
"""Of its own: a store that hangs must not keep other work from the event loop's threads."""

log = logging.getLogger("omni.gateway")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at a job saw."""

    job: Job
    queue_position: int | None


@dataclass(slots=True)
class Watched:
    """A job that somebody watches."""

    sight: Sight
    watchers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the next change; each change has an event of its own."""
    is_gone: bool = False
    looking: "asyncio.Task[None] | None" = None

    def note(self, sight: Sight) -> bool:
        """Whether this is something new."""
        if sight == self.sight:
            return False
        self.sight = sight
        self.wake()
        return True

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class JobWatch:
    def __init__(self, reader: JobReader, clock: Clock) -> None:
        self._reader = reader
        self._now = clock.monotonic
        self._threads = FairThreads(THREADS, "watch")
        self._watched: dict[tuple[str, str], Watched] = {}
        self._first_looks: dict[tuple[str, str], asyncio.Future[Sight]] = {}

    @asynccontextmanager
    async def watching(self, tenant: str, job_id: str) -> AsyncIterator[Watched]:
        """The job, kept up to date as long as the context lasts. NotFound, or Unavailable, before it begins."""
        place = tenant, job_id
        watched = self._watched.get(place)
        if watched is None:
            seen = Watched(await self._first_look(tenant, job_id))
            watched = self._watched.setdefault(place, seen)
        watched.watchers += 1
        if watched.looking is None and not watched.sight.job.state.is_final:
            watched.looking = asyncio.create_task(self._keep_looking(watched))
        try:
            yield watched
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                self._watched.pop(place, None)
                if watched.looking:
                    watched.looking.cancel()

    async def result(self, job: Job) -> dict[str, Any] | None:
        return await self._threads.run(job.tenant, self._reader.result, job)

    async def _keep_looking(self, watched: Watched) -> None:
        changed_at = self._now()
        job = watched.sight.job
        while not watched.sight.job.state.is_final:
            pause_s = SHARE * (self._now() - changed_at)
            await asyncio.sleep(min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, pause_s)))
            try:
                if watched.note(await self._look(job.tenant, job.id)):
                    changed_at = self._now()
            except Unavailable as error:  # whoever watches is kept waiting: the next look may succeed
                log.warning("a watched job cannot be read", extra={"fields": {"detail": error.detail}})
            except NotFound:
                watched.is_gone = True
                watched.wake()
                return

    async def _first_look(self, tenant: str, job_id: str) -> Sight:
        """Those who come at the same time look once."""
        place = tenant, job_id
        looking = self._first_looks.get(place)
        if looking is None:
            looking = self._first_looks[place] = asyncio.ensure_future(self._look(tenant, job_id))
            looking.add_done_callback(lambda done: self._looked(place, done))
        return await asyncio.shield(looking)

    def _looked(self, place: tuple[str, str], look: "asyncio.Future[Sight]") -> None:
        del self._first_looks[place]
        if not look.cancelled():
            look.exception()  # seen, even if everybody has left

    async def _look(self, tenant: str, job_id: str) -> Sight:
        return await self._threads.run(tenant, self._see, tenant, job_id)

    def _see(self, tenant: str, job_id: str) -> Sight:
        job = self._reader.get(tenant, job_id)
        return Sight(job, self._reader.queue_position(job))


async def final(watched: Watched, within_s: float) -> Job | None:
    """The job once it is final; None when it is not within that time, or not there any more."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not (watched.sight.job.state.is_final or watched.is_gone):
                await watched.changed.wait()
    return watched.sight.job if watched.sight.job.state.is_final else None
