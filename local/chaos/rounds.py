"""Every schedule of the platform, as Cloud Scheduler calls them; none may break, whatever it finds."""

import logging
import time
from collections import Counter
from collections.abc import Callable

from shared.batches.batches import Batches
from shared.core.errors import Unavailable
from shared.files.files import Files
from shared.files.retention import Retention
from shared.files.uploads import Uploads
from shared.jobs.jobs import Jobs
from shared.money.usage import ROWS, UsageRecords
from shared.settings import Settings
from shared.sweeps.quarantine import Quarantine
from shared.sweeps.sweep import Sweeps
from shared.webhooks.webhooks import Webhooks
from shared.wiring import Ports

OFTEN_S, SELDOM_S = 1.0, 5.0

log = logging.getLogger("omni.chaos")


class Rounds:
    def __init__(self, ports: Ports, settings: Settings, jobs: Jobs) -> None:
        store, clock = ports.store, ports.clock
        sweeps = Sweeps(store, clock, settings.quarantine_after)
        files = Files(store, ports.blobs, clock)
        batches = Batches(store, jobs, clock, settings)
        retention = Retention(files, Uploads(store, ports.blobs, files, clock), batches.records.reads, clock, sweeps)
        webhooks = Webhooks(store, ports.queue, ports.courier, ports.secrets, clock, settings)
        usage = UsageRecords(store, settings.usage_days)
        self._often: dict[str, Callable[[], object]] = {"jobs-reap": jobs.reap, "jobs-sweep": jobs.sweep}
        self._seldom: dict[str, Callable[[], object]] = {
            "webhooks-sweep": webhooks.sweep,
            "batches-advance": batches.sweep,
            "usage-rollup": lambda: usage.roll_up(sweeps.begin("usage_rollup", ROWS)),
            "files-expire": retention.expire,
        }
        self._quarantine = Quarantine(store, settings.quarantine_after)
        self._often_at = self._seldom_at = 0.0
        self.broken: Counter[str] = Counter()
        """Rounds that ended by an error, by schedule."""

    def run_due(self) -> None:
        now = time.monotonic()
        if now >= self._often_at:
            self._run(self._often)
            self._often_at = time.monotonic() + OFTEN_S
        if now >= self._seldom_at:
            self._run(self._seldom)
            self._seldom_at = time.monotonic() + SELDOM_S

    def run_all(self) -> None:
        self._run(self._often | self._seldom)

    def set_aside(self) -> int:
        """How many documents are."""
        return len(self._quarantine.list(1000, "").items)

    def _run(self, schedules: dict[str, Callable[[], object]]) -> None:
        for name, call in schedules.items():
            try:
                call()
            except Unavailable:
                log.warning("the store was away for a schedule", extra={"fields": {"schedule": name}})
            except Exception:  # it is what is looked for
                log.critical("a schedule broke", extra={"fields": {"schedule": name}}, exc_info=True)
                self.broken[name] += 1
