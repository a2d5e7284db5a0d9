"""Worker processes that are killed and stopped while they run jobs."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from local.chaos.audit import KILLED, POINTS
from shared.settings import environment as process_environment

CHECKOUT = Path(__file__).resolve().parents[2]
WORKERS = 3
LEASE_S = 2.0


@dataclass
class Injected:
    """What was done to the workers and to the documents."""

    kills: int = 0
    """SIGKILLs from outside."""
    stops: int = 0
    """SIGSTOPs past the lease, each with a SIGCONT."""
    points: Counter[str] = field(default_factory=Counter)
    """SIGKILLs at points of a job's life."""
    stalls: int = 0
    """Jobs whose task, or whose whole worker, stood still."""
    retries: int = 0
    """Calls that retried a job, most of them at the same moment as others."""
    poisoned: int = 0
    """Documents that no schedule can work on."""

    @property
    def all_kills(self) -> int:
        return self.kills + self.points.total()


class Fleet:
    """Worker processes, each started again when it died."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        chance: random.Random,
        most_passes: int,
        died: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`died` gets the process id of a worker that was killed, at most a look later."""
        self._folder = folder
        self._environment = {**process_environment(), **environment}
        self._chance = chance
        self._most_passes = most_passes
        self._died = died
        self._starts = 0
        self._dies = True
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopped: list[tuple[float, subprocess.Popen[bytes]]] = []
        self.injected = Injected()

    def keep_running(self) -> None:
        """Starts what is missing, and lets those go on that were stopped for long enough."""
        for worker in [each for each in self._workers if each.poll() is not None]:
            self._workers.remove(worker)
            self._died(worker.pid)
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
        command = [sys.executable, "-m", "local.chaos.worker", *options]
        return subprocess.Popen(command, cwd=CHECKOUT, env=self._environment)
