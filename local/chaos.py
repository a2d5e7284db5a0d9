"""`omni chaos`: jobs on real worker processes that are killed and stopped, and a count of what was lost or doubled."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import httpx

from local import firestore_emulator
from local.addresses import HOST, free_port
from local.chaos_audit import AUDIT, DOUBLED, KILLED, POINTS, TASK, AuditedStore, Mortality
from shared.core.jobs import State
from shared.jobs.jobs import JobOrder, Jobs
from shared.ports.store import Query
from shared.settings import Settings, StateKeeper
from shared.settings import environment as process_environment
from shared.webhooks.records import DELIVERIES
from shared.wiring import Ports

CHECKOUT = Path(__file__).resolve().parent.parent
TENANT = "chaos"
WORKERS = 3
LEASE_S = 2.0
UNFINISHED = 20
"""Jobs that are under way at the same time, at most."""
LOOK_EACH_S = 0.1
ROUNDS_EACH_S = 1.0
"""Of the sweeper and the reaper."""
DRAIN_S = 420.0
"""How long the last jobs may take: one that lost its worker again and again waits for minutes between its attempts."""


@dataclass
class Injected:
    """What was done to the workers."""

    kills: int = 0
    """SIGKILLs from outside."""
    stops: int = 0
    """SIGSTOPs past the lease, each with a SIGCONT."""
    points: Counter[str] = field(default_factory=Counter)
    """SIGKILLs at points of a job's life."""

    @property
    def all_kills(self) -> int:
        return self.kills + self.points.total()


@dataclass(frozen=True, slots=True)
class Totals:
    """What became of the jobs."""

    jobs: int
    states: Mapping[str, int]
    lost: int
    """Not final in time."""
    doubled: int
    """Final writes beyond a job's first."""
    charged: int
    """Sum of what succeeded jobs were charged; each costs 1."""
    webhooks: Mapping[int, int]
    """How many jobs have so many webhook ids."""

    @property
    def is_sound(self) -> bool:
        return (
            not self.lost
            and not self.doubled
            and self.charged == self.states.get("succeeded", 0)
            and set(self.webhooks) <= {1}
        )


class Fleet:
    """Worker processes, each started again when it died."""

    def __init__(self, folder: Path, environment: Mapping[str, str], chance: random.Random, most_passes: int) -> None:
        self._folder = folder
        self._environment = {**process_environment(), **environment}
        self._chance = chance
        self._most_passes = most_passes
        self._starts = 0
        self._dies = True
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopped: list[tuple[float, subprocess.Popen[bytes]]] = []
        self.injected = Injected()

    def keep_running(self) -> None:
        """Starts what is missing, and lets those go on that were stopped for long enough."""
        self._workers = [worker for worker in self._workers if worker.poll() is None]
        while len(self._workers) < WORKERS:
            self._workers.append(self._started())
        due = [entry for entry in self._stopped if entry[0] <= time.monotonic()]
        for entry in due:
            self._stopped.remove(entry)
            entry[1].send_signal(signal.SIGCONT)
        with suppress(FileNotFoundError):
            self.injected.points = Counter((self._folder / KILLED).read_text().splitlines())

    def kill_one(self) -> None:
        self._chance.choice(self._workers).kill()
        self.injected.kills += 1

    def stop_one(self) -> None:
        """Past its lease, and then on again."""
        worker = self._chance.choice(self._workers)
        worker.send_signal(signal.SIGSTOP)
        self._stopped.append((time.monotonic() + 2 * LEASE_S, worker))
        self.injected.stops += 1

    def spare(self) -> None:
        """From now on workers live."""
        self._dies = False

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        options = ["--folder", str(self._folder), "--seed", str(self._chance.randrange(2**32))]
        if self._dies:
            point = POINTS[self._starts % len(POINTS)]
            options += ["--die-at", point, "--after", str(self._chance.randint(1, self._most_passes))]
        self._starts += 1
        command = [sys.executable, "-m", "local.chaos_worker", *options]
        return subprocess.Popen(command, cwd=CHECKOUT, env=self._environment)


class Chaos:
    def __init__(self, folder: Path, environment: Mapping[str, str], seed: int, most_passes: int = 12) -> None:
        """`environment` chooses the store; everything else is in the folder. A worker dies when it has passed its
        point so often, at most."""
        settings = {"OMNI_STATE_DIR": str(folder), "OMNI_LEASE_S": str(LEASE_S), "OMNI_TENANT_JOBS": "100000"}
        self._settings = Settings.load({**environment, **settings})
        self._ports = Ports(self._settings)
        self._chance = random.Random(seed)  # noqa: S311 (a seed has to give the same run again)
        self._folder = folder
        audited = AuditedStore(self._ports.store, folder, Mortality(folder, "", 0))
        self.jobs = Jobs(audited, self._ports.queue, self._ports.blobs, self._ports.clock, self._settings)
        self.fleet = Fleet(folder, {**environment, **settings}, self._chance, most_passes)
        self.made: list[str] = []
        self._rounds_at = 0.0

    def run(self, jobs: int, seconds: float) -> Totals:
        """Makes jobs, evenly over the time, while workers are killed and stopped; then lets all jobs end."""
        began = time.monotonic()
        hurt_at = began + 2.0
        while len(self.made) < jobs:
            self._make(min(1 + int(jobs * (time.monotonic() - began) / seconds), jobs))
            self.look_after()
            if time.monotonic() >= hurt_at:
                (self.fleet.stop_one if self._chance.random() < 0.2 else self.fleet.kill_one)()
                hurt_at = time.monotonic() + self._chance.uniform(0.5, 2.5)
        self.let_end()
        return self.totals()

    def run_until(self, enough: Callable[[], bool], seconds: float) -> Totals:
        """Makes jobs until it is enough, hurting nobody but by what the workers do themselves; then lets all end."""
        over_at = time.monotonic() + seconds
        while not enough() and time.monotonic() < over_at:
            self._make(len(self.made) + 1)
            self.look_after()
        self.let_end()
        return self.totals()

    def let_end(self) -> None:
        """Waits until all jobs are final, with workers that live."""
        self.fleet.spare()
        drained_at = time.monotonic() + DRAIN_S
        while self._unfinished() and time.monotonic() < drained_at:
            self.look_after()

    def create(self, max_attempts: int = 20, **given: object) -> str:
        webhook = {"url": "https://example.org/hook", "events": None}
        order = JobOrder(TENANT, "k", TASK, "m", given, 60.0, max_attempts, webhook=webhook)
        return self.jobs.create(order).id

    def totals(self) -> Totals:
        jobs = [self.jobs.get(TENANT, job_id) for job_id in self.made]
        store = self._ports.store
        rows = [store.count(Query(DELIVERIES, (("tenant", "==", TENANT), ("job_id", "==", job.id)))) for job in jobs]
        doubled = self._folder / DOUBLED
        return Totals(
            len(jobs),
            Counter(job.state.value for job in jobs),
            sum(not job.state.is_final or store.get(AUDIT, f"final-{job.id}") is None for job in jobs),
            len(doubled.read_text().splitlines()) if doubled.exists() else 0,
            sum((job.usage or {}).get("total_tokens", 0) for job in jobs),
            Counter(rows),
        )

    def _make(self, number: int) -> None:
        room = UNFINISHED - self._unfinished()
        for _ in range(min(number - len(self.made), room)):
            self.made.append(self.create(large=self._chance.random() < 0.25))

    def look_after(self) -> None:
        """What the supervisor and the schedules do."""
        self.fleet.keep_running()
        if time.monotonic() >= self._rounds_at:
            self.jobs.reap()
            self.jobs.sweep()
            self._rounds_at = time.monotonic() + ROUNDS_EACH_S
        time.sleep(LOOK_EACH_S)

    def _unfinished(self) -> int:
        live = (State.QUEUED, State.RUNNING)
        queries = (Query("jobs", (("tenant", "==", TENANT), ("state", "==", each.value)), limit=1000) for each in live)
        return sum(self._ports.store.count(query) for query in queries)


@contextmanager
def state(keeper: StateKeeper, folder: Path) -> Iterator[dict[str, str]]:
    """The settings that choose a store, with an emulator of its own if it is Firestore. EmulatorMissing."""
    if keeper is StateKeeper.SQLITE:
        yield {"OMNI_STATE": keeper.value}
        return
    port = free_port(random.SystemRandom().choice)
    command = firestore_emulator.command(HOST, port)
    with (folder / "firestore.log").open("wb") as log:
        emulator = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(f"http://{HOST}:{port}/")
        yield {"OMNI_STATE": keeper.value, "FIRESTORE_EMULATOR_HOST": f"{HOST}:{port}"}
    finally:
        emulator.kill()
        emulator.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise firestore_emulator.EmulatorMissing(f"the Firestore emulator did not answer at {url} within 60 s")


def report(chaos: Chaos, totals: Totals, seconds: float) -> None:
    injected = chaos.fleet.injected
    click.echo(f"injected: {injected.all_kills} SIGKILLs, {injected.stops} SIGSTOPs past the lease of {LEASE_S:g} s")
    for point in POINTS:
        click.echo(f"    {injected.points[point]:5}  {point}")
    click.echo(f"    {injected.kills:5}  anywhere")
    states = ", ".join(f"{number} {name}" for name, number in sorted(totals.states.items()))
    click.echo(f"checked: {totals.jobs} jobs in {seconds:.0f} s: {states}; {totals.charged} charged")
    ids = sum(number for count, number in totals.webhooks.items() if count > 1)
    off = abs(totals.charged - totals.states.get("succeeded", 0))
    click.echo(
        f"{totals.jobs} jobs, {injected.all_kills} SIGKILLs: {totals.lost} lost, {totals.doubled} double final writes, "
        f"{off} wrong charges, {ids} double webhook ids, {totals.webhooks.get(0, 0)} without one"
    )
