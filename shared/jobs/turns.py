"""Lets jobs into the queue: a tenant has only so many in flight, and each that leaves lets in the next one.

Jobs in flight are counted in the store from the jobs themselves: a counter would be one document that every change
fights for, and wrong for good after a crash. Processes that count at the same moment may let in one job too many each;
what a crash kept from being let in, the sweeper lets in.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import ceil

from shared import telemetry
from shared.core import fairness
from shared.core.errors import Unavailable
from shared.core.job_documents import from_document
from shared.core.jobs import IN_FLIGHT, WAITING, Job
from shared.core.queues import job_concurrency
from shared.pages import every_entry
from shared.ports.clock import Clock
from shared.ports.store import Document, Entry, Query, Store
from shared.settings import Settings
from shared.sweeps.report import Deadline, Report
from shared.sweeps.sweep import Sweeps

JOBS = "jobs"
PAGE = 50
TENANTS_AT_ONCE = 100
MOST_TRIED = 200
"""How many waiting jobs are looked at for one that others did not take meanwhile, and that can be read."""
MOST_COUNTED = 100_000
"""In a lane: a count is a read for each thousand."""
MOST_ROUNDS = 10
"""How often a thread goes on for others before its own answer is due."""

LetIn = Callable[[str], bool]
"""Lets in the waiting job of that id; False when it does not wait any more."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Line:
    """A tenant's waiting jobs during one round of the sweeper."""

    weight: int
    share: int
    taken: int
    """Jobs in flight."""
    waiting: Iterator[Entry]
    is_full: bool = False


class Turns:
    def __init__(self, store: Store, clock: Clock, settings: Settings, sweeps: Sweeps) -> None:
        self._store = store
        self._sweeps = sweeps
        self._clock = clock
        concurrency = job_concurrency(settings.worker_instances, settings.worker_slots)
        self._tenant_jobs = settings.tenant_jobs or ceil(concurrency * fairness.AHEAD)
        self._lock = threading.Lock()
        self._coming: Counter[str] = Counter()
        """By tenant: jobs for which there was room and which may not be committed yet."""
        self._owed: Counter[str] = Counter()
        """By tenant: jobs that left and whose successors are still to be let in."""
        self._busy: set[str] = set()
        """Tenants for whom a thread is letting jobs in."""
        self._begin_at = WAITING
        """The lane after which the sweeper's next round begins."""

    @contextmanager
    def asking(self, tenant: str) -> Iterator[Callable[[Job, float], bool]]:
        """Gives what tells, in the transaction that commits a job of the tenant, whether there is room for it. Until
        this block ends the room is kept from others who ask in this process."""
        is_in = False

        def has_room(job: Job, now: float) -> bool:
            nonlocal is_in
            share = fairness.share(self._tenant_jobs, job.weight)
            taken = self._in_flight(tenant, share)
            with self._lock:
                taken += self._coming[tenant] - is_in
                fits = taken < fairness.most_in_flight(job, share, now)
                self._coming[tenant] += fits - is_in
                is_in = fits
            return fits

        try:
            yield has_room
        finally:
            with self._lock:
                self._coming[tenant] -= is_in
                if not self._coming[tenant]:
                    del self._coming[tenant]

    def follow(self, tenant: str, let_in: LetIn) -> None:
        """One of the tenant's jobs has left: lets in its next. One thread does so for all that end meanwhile, so that
        they do not fight for the same job."""
        with self._lock:
            self._owed[tenant] += 1
            if tenant in self._busy:
                return
            self._busy.add(tenant)
        try:
            for _ in range(MOST_ROUNDS):
                if not (room := self._debt(tenant)):
                    return
                self._let_in(tenant, room, let_in)
        except Unavailable as error:  # the sweeper will
            log.warning("no job let in", extra={"fields": {"tenant": tenant, "detail": error.detail}})
        except Exception:  # nor must what is wrong with the next job fail the one that has ended
            log.exception("no job let in", extra={"fields": {"tenant": tenant}})
        with self._lock:
            self._busy.discard(tenant)

    def count(self) -> None:
        """Tells how many jobs have not ended: a few reads, whoever they belong to."""
        lanes = {
            "in_flight": Query(JOBS, (("lane", ">", IN_FLIGHT), ("lane", "<", WAITING)), "lane", limit=MOST_COUNTED),
            "waiting": Query(JOBS, (("lane", ">", WAITING),), "lane", limit=MOST_COUNTED),
        }
        for name, lane in lanes.items():
            telemetry.QUEUE_DEPTH.labels(name).set(self._store.count(lane))

    def round(self, let_in: LetIn) -> Report:
        """Lets in what there is room for, tenant by tenant in turn, as many at a time as each one's weight."""
        sweep = self._sweeps.begin("jobs_sweep", JOBS)
        lines = self._lines(sweep.deadline)
        while block := deque(islice(lines, TENANTS_AT_ONCE)):
            while block and not sweep.deadline.is_over:
                line = block.popleft()
                entries = list(islice(line.waiting, line.weight))
                for entry in entries:
                    sweep.do(entry, partial(self._let_one_in, line, let_in))
                if entries and not line.is_full and line.taken < line.share:
                    block.append(line)
        if sweep.deadline.is_over:
            return sweep.report.incomplete()
        self._begin_at = WAITING
        return sweep.report

    def _let_one_in(self, line: Line, let_in: LetIn, document: Document) -> bool:
        job = from_document(document)
        line.is_full = line.taken >= fairness.most_in_flight(job, line.share, self._clock.now())
        if line.is_full or not let_in(job.id):
            return False
        line.taken += 1
        return True

    def _lines(self, deadline: Deadline) -> Iterator[Line]:
        """Of each tenant with waiting jobs: one document read for each, however many wait. Begins where the last round
        was out of time."""
        while not deadline.is_over:
            lane = Query(JOBS, (("lane", ">", self._begin_at),), "lane", limit=1)
            if not (found := self._store.query(lane).documents):
                return
            self._begin_at = str(found[0]["lane"])
            tenant = self._begin_at.removeprefix(WAITING)
            weight = weight if isinstance(weight := found[0].get("weight"), int) else 1
            share = fairness.share(self._tenant_jobs, weight)
            if room := share - self._in_flight(tenant, share):
                yield Line(max(1, weight), share, share - room, self._waiting(tenant, min(room, PAGE)))

    def _debt(self, tenant: str) -> int:
        """Takes over what is owed to the tenant; when that is nothing, another thread may begin anew."""
        with self._lock:
            if not (owed := self._owed.pop(tenant, 0)):
                self._busy.discard(tenant)
            return owed

    def _let_in(self, tenant: str, room: int, let_in: LetIn) -> None:
        for key, document in islice(self._waiting(tenant, min(room, PAGE)), MOST_TRIED):
            try:
                room -= from_document(document).id == key and let_in(key)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - the next one may be better; the sweeper sets this one aside
                fields = {"job": key, "reason": type(error).__qualname__}
                log.error("a waiting job was passed over", extra={"fields": fields})
            if not room:
                return

    def _in_flight(self, tenant: str, most: int) -> int:
        return self._store.count(Query(JOBS, (("lane", "==", IN_FLIGHT + tenant),), "rank_at", limit=most))

    def _waiting(self, tenant: str, page_size: int) -> Iterator[Entry]:
        """Whose turn is next comes first."""
        return every_entry(self._store, Query(JOBS, (("lane", "==", WAITING + tenant),), "rank_at", limit=page_size))
