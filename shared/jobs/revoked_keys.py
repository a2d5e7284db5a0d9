"""Which keys are revoked, for the work that they made: a job may wait or run for hours after its key was revoked.

The store is asked when a job is claimed that has waited, with each heartbeat and before a batch goes on; what it says
is remembered for a few seconds. A key of `API_KEYS` is in no store: what it made goes on when it is left out. So does
the work of a key that expired, which was foreseen when it was made.
"""

import threading

from cachetools import TTLCache

from shared.core.jobs import SETTLING_TASK, Job
from shared.core.keys import is_static
from shared.ports.clock import Clock
from shared.ports.store import Store

REMEMBERED_S = 4.0
FRESH_S = 10.0
"""Longer than it takes until every gateway knows of a revocation."""
MOST_REMEMBERED = 10_000


class RevokedKeys:
    def __init__(self, store: Store, clock: Clock, *, cancels: bool) -> None:
        """`cancels`: whether work ends with its key; else no key counts as revoked."""
        self._store = store
        self._cancels = cancels
        self._remembered: TTLCache[str, bool] = TTLCache(MOST_REMEMBERED, REMEMBERED_S, clock.monotonic)
        self._lock = threading.Lock()

    def end(self, job: Job) -> bool:
        """Whether the job ends because its key is revoked."""
        return job.task != SETTLING_TASK and self.has(job.key_id)

    def end_waiting(self, job: Job, now: float) -> bool:
        """As `end`, when a worker would begin it. One that was made a moment ago was made by a key that was good, and
        costs no read."""
        return now - job.created_at > FRESH_S and self.end(job)

    def has(self, key_id: str) -> bool:
        with self._lock:
            known = self._remembered.get(key_id)
        return self.look_up(key_id) if known is None else known

    def look_up(self, key_id: str) -> bool:
        """As `has`, from the store."""
        if not self._cancels or is_static(key_id):
            return False
        document = self._store.get("keys", key_id)
        is_revoked = document is not None and document.get("revoked_at") is not None
        with self._lock:
            self._remembered[key_id] = is_revoked
        return is_revoked
