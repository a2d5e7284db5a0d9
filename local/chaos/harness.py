"""Jobs on real worker processes that are killed and stopped, among poisoned documents, retry storms and stalls."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from local.chaos import poison
from local.chaos.audit import AUDIT, DOUBLED, TASK, AuditedStore, Mortality
from local.chaos.fleet import LEASE_S, Fleet
from local.chaos.recovery import Recoveries
from local.chaos.report import Totals
from local.chaos.rounds import Rounds
from local.chaos.storm import Storm
from shared.core.budgets import Budget, day_of
from shared.core.jobs import Job, State
from shared.core.pricing import PICO_IN_NANO, Price
from shared.jobs.charges import Terms, run_name
from shared.jobs.jobs import Jobs
from shared.jobs.orders import JobOrder
from shared.money.ledgers import Ledgers
from shared.money.policy import Applies
from shared.ports.store import Query
from shared.settings import Settings, StateKeeper
from shared.webhooks.records import DELIVERIES
from shared.wiring import Ports

TENANT = "chaos"
KEYS = 4
"""They share the jobs, so that not every job writes the same ledger."""
UNFINISHED = 20
"""Jobs that are under way at the same time, at most."""
LOOK_EACH_S = 0.1
DRAIN_S = 420.0
"""How long the last jobs may take: one that lost its worker again and again waits for minutes between its attempts."""
STALL_S = 3.0
"""Longest run of a job whose task stands still."""
RICH = Budget(monthly=10**15)


class Chaos:
    def __init__(
        self, folder: Path, environment: Mapping[str, str], seed: int, most_passes: int = 12, tenant_jobs: int = 100_000
    ) -> None:
        """`environment` chooses the store; everything else is in the folder. A worker dies when it has passed its
        point so often, at most."""
        settings = {
            "OMNI_STATE_DIR": str(folder),
            "OMNI_LEASE_S": str(LEASE_S),
            "OMNI_TENANT_JOBS": str(tenant_jobs),
            "OMNI_QUARANTINE_AFTER": "2",
        }
        self._settings = Settings.load({**environment, **settings})
        self._ports = Ports(self._settings)
        self.store = self._ports.store
        self._chance = random.Random(seed)  # noqa: S311 (a seed has to give the same run again)
        self._folder = folder
        audited = AuditedStore(self._ports.store, folder, Mortality(folder, "", 0))
        self.jobs = Jobs(audited, self._ports.queue, self._ports.blobs, self._ports.clock, self._settings)
        self.recoveries = Recoveries(self._ports.store, TENANT)
        self.rounds = Rounds(self._ports, self._settings, self.jobs)
        self.storm = Storm(self.jobs, TENANT)
        died = self.recoveries.worker_died
        self.fleet = Fleet(folder, {**environment, **settings}, self._chance, most_passes, died)
        self.made: list[str] = []
        self._to_retry: set[str] = set()
        """Jobs that fail until they are retried, and were not."""
        self._months = {self._month()}

    def run(self, jobs: int, seconds: float) -> Totals:
        """Makes jobs, evenly over the time, while everything is done to them; then lets all jobs end."""
        began = time.monotonic()
        hurt_at = began + 2.0
        self.poison()
        while len(self.made) < jobs:
            self._make(min(1 + int(jobs * (time.monotonic() - began) / seconds), jobs))
            self.look_after()
            if time.monotonic() >= hurt_at:
                self.retry_failed()
                (self.fleet.stop_one if self._chance.random() < 0.2 else self.fleet.kill_one)()
                hurt_at = time.monotonic() + self._chance.uniform(0.5, 2.5)
        self.let_end()
        return self.totals()

    def run_until(self, enough: Callable[[], bool], seconds: float) -> Totals:
        """Makes jobs until it is enough, hurting nothing but by what the workers do themselves; then lets all end."""
        over_at = time.monotonic() + seconds
        while not enough() and time.monotonic() < over_at:
            self._make(len(self.made) + 1, plain=True)
            self.look_after()
        self.let_end()
        return self.totals()

    def let_end(self) -> None:
        """Waits until all jobs are final, those that failed for a retry too, with workers that live."""
        self.fleet.spare()
        drained_at = time.monotonic() + DRAIN_S
        while (self._unfinished() or self._to_retry) and time.monotonic() < drained_at:
            self.look_after()
            self.retry_failed()
        self.rounds.run_all()
        self.rounds.run_all()
        self.recoveries.look()

    def create(self, max_attempts: int = 20, timeout_s: float = 60.0, tenant: str = TENANT, **given: object) -> str:
        webhook = {"url": "https://example.org/hook", "events": None}
        key_id = f"k{len(self.made) % KEYS}" if tenant == TENANT else tenant
        order = JobOrder(
            *(tenant, key_id, TASK, "m", given, timeout_s, max_attempts), webhook=webhook, terms=_terms(key_id)
        )
        return self.jobs.create(order).id

    def poison(self) -> None:
        """Plants documents that no schedule can work on, beside the jobs."""
        whole = self.jobs.get("poison", self.create(tenant="poison"))
        self.fleet.injected.poisoned += poison.plant(self._ports.store, whole)
        if self._settings.state is StateKeeper.SQLITE:
            for collection in poison.FOUND_BY:
                poison.scribble(self._folder / "omni.db", collection, "poison-0-empty")

    def retry_failed(self) -> None:
        """Lets many callers retry, all at once, each job that failed for it."""
        jobs = [self.jobs.get(TENANT, job_id) for job_id in self._to_retry]
        failed = [job for job in jobs if job.state is State.FAILED]
        for job in failed:
            self.storm.over([job], job.key_id, _terms(job.key_id))
        self.fleet.injected.retries = self.storm.calls
        self._to_retry -= {job.id for job in failed if self.jobs.get(TENANT, job.id).charge != job.charge}

    def totals(self) -> Totals:
        jobs = [self.jobs.get(TENANT, job_id) for job_id in self.made]
        surplus = [self._webhooks(job) - self._ends(job) for job in jobs]
        doubled = self._folder / DOUBLED
        spent, reserved = self._ledgers()
        return Totals(
            jobs=len(jobs),
            states=Counter(job.state.value for job in jobs),
            lost=sum(not job.state.is_final or not self._has_end(_run(job)) for job in jobs),
            doubled=len(doubled.read_text().splitlines()) if doubled.exists() else 0,
            charged=spent,
            reserved=reserved,
            doubled_webhooks=sum(max(0, each) for each in surplus),
            missing_webhooks=sum(max(0, -each) for each in surplus),
            doubled_retries=self.storm.doubled,
            broken_rounds=self.rounds.broken.total(),
            set_aside=self.rounds.set_aside(),
        )

    def look_after(self) -> None:
        """What the supervisor and the schedules do."""
        self.fleet.keep_running()
        self.rounds.run_due()
        self.recoveries.look()
        time.sleep(LOOK_EACH_S)

    def _make(self, number: int, *, plain: bool = False) -> None:
        room = UNFINISHED - self._unfinished()
        for _ in range(min(number - len(self.made), room)):
            draw = 1.0 if plain else self._chance.random()
            if draw < 0.1:
                job_id = self.create(fails=True)
                self._to_retry.add(job_id)
            elif draw < 0.15:
                stalls = self._chance.choice(("task", "worker"))
                job_id = self.create(timeout_s=STALL_S if stalls == "task" else 60.0, stalls=stalls)
                self.fleet.injected.stalls += 1
            else:
                job_id = self.create(large=self._chance.random() < 0.25)
            self.made.append(job_id)

    def _unfinished(self) -> int:
        live = (State.QUEUED, State.RUNNING)
        queries = (Query("jobs", (("tenant", "==", TENANT), ("state", "==", each.value)), limit=1000) for each in live)
        return sum(self._ports.store.count(query) for query in queries)

    def _webhooks(self, job: Job) -> int:
        return self._ports.store.count(Query(DELIVERIES, (("tenant", "==", TENANT), ("job_id", "==", job.id))))

    def _ends(self, job: Job) -> int:
        """How often the job has ended: once in each of its lives."""
        return sum(map(self._has_end, {run_name(job.id, 1), _run(job)}))

    def _has_end(self, run: str) -> bool:
        return self._ports.store.get(AUDIT, f"final-{run}") is not None

    def _ledgers(self) -> tuple[int, int]:
        """What was spent, and what is still reserved."""
        books = Ledgers(self._ports.store)
        found = [books.get(f"key:k{n}", month) for n in range(KEYS) for month in self._months | {self._month()}]
        return sum(each.month_spent for each in found), sum(sum(each.reserved.values()) for each in found)

    def _month(self) -> str:
        return day_of(self._ports.clock.now())[:7]


def _terms(key_id: str) -> Terms:
    """A job that succeeds costs one."""
    return Terms(Price(request=PICO_IN_NANO), 1, (Applies(f"key:{key_id}", RICH),))


def _run(job: Job) -> str:
    return str((job.charge or {})["run"])
