"""What one process knows of the managed keys, and how it stays true.

A key is read when it is first asked for. From then on the process looks every few seconds for keys that were changed
since its last look: one read, however many keys it knows, and none while nobody asks. A request is decided by what a
look found that began at most `max_age_s` before. With a store that cannot be asked, what is known goes on being
believed for `grace_s`.
"""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from shared.core.errors import Unavailable
from shared.core.managed_keys import NOBODY, Credential, credential, from_document
from shared.keys.changes import CHANGES, last_change
from shared.ports.clock import Clock
from shared.ports.store import Document, Query, Store

MOST_REMEMBERED = 20_000
MOST_CHANGES = 1000
"""More between two looks, and everything is forgotten."""
LOOK_AHEAD_S = 0.4
"""So long before what is known gets too old, a look begins, for which nobody waits."""
PATIENCE_S = 2.0
"""A request waits so long for a look, then the store counts as not answering."""
RETRY_S = 1.0

log = logging.getLogger("omni.keys")

K = TypeVar("K")
V = TypeVar("V")
Work = Callable[[], None]


class KeyMemory:
    def __init__(
        self, store: Store, clock: Clock, max_age_s: float, grace_s: float, in_background: Callable[[Work], None]
    ) -> None:
        self._store = store
        self._now = clock.monotonic
        self._max_age_s = max_age_s
        self._grace_s = grace_s
        self._in_background = in_background
        self._known: dict[str, Credential] = {}
        self._refused: dict[bytes, int | None] = {}
        """Digests of texts that the store's keys did not have, and what was known then."""
        self._since: int | None = None
        """The newest change that is known; None before the first look."""
        self._looked_at = float("-inf")
        """When the last successful look began."""
        self._is_failing = False
        self._retry_at = float("-inf")
        self._looking = threading.Lock()
        """Held by whoever looks."""
        self._applying = threading.Lock()
        """Held while what is known changes."""

    def recall(self, key_id: str) -> Credential | None:
        """What was last seen of the key; None when it was never read."""
        return self._known.get(key_id)

    def is_current(self) -> bool:
        """Whether what is known may still be believed. Begins a look before it is too late."""
        age_s = self._now() - self._looked_at
        if age_s > self._max_age_s - LOOK_AHEAD_S:
            self._look_ahead()
        return self._is_believed(age_s)

    def refresh(self) -> None:
        """Looks for changes unless a look was recent enough. Unavailable when that can be believed no longer."""
        if self._is_believed(self._now() - self._looked_at):
            return
        if not self._looking.acquire(timeout=PATIENCE_S):
            self._is_failing = True
        else:
            try:
                if not self._is_believed(self._now() - self._looked_at) and self._now() >= self._retry_at:
                    self._look()
            finally:
                self._looking.release()
        if not self._is_believed(self._now() - self._looked_at):
            raise Unavailable("Keys cannot be checked at the moment.", retry_after_s=RETRY_S)

    def read(self, key_id: str) -> Credential:
        """What the store has of the key now. `refresh` must have gone before."""
        since = self._since
        found = _credential(self._store.get("keys", key_id))
        with self._applying:
            if self._since == since:  # else a change may have been seen that came after this was read
                self._known.pop(key_id, None)
                remember(self._known, key_id, found)
        return found

    def refuse(self, hashed: bytes) -> None:
        """Remembers that the store has no key of this text, until any key changes."""
        with self._applying:
            remember(self._refused, hashed, self._since)

    def has_refused(self, hashed: bytes) -> bool:
        return hashed in self._refused and self._refused[hashed] == self._since

    def _is_believed(self, age_s: float) -> bool:
        return age_s <= (self._grace_s if self._is_failing else self._max_age_s)

    def _look_ahead(self) -> None:
        if self._since is None or self._now() < self._retry_at or not self._looking.acquire(blocking=False):
            return
        self._in_background(self._look_and_release)

    def _look_and_release(self) -> None:
        try:
            self._look()
        finally:
            self._looking.release()

    def _look(self) -> None:
        began = self._now()
        try:
            if self._since is None:
                self._start_afresh()
            else:
                self._apply_changes(self._since)
        except Unavailable as error:
            self._note_failure(error)
        else:
            self._looked_at = began
            self._note_success()

    def _start_afresh(self) -> None:
        """Forgets everything, and begins at the newest change."""
        since = last_change(self._store.get(*CHANGES))
        with self._applying:
            self._known.clear()
            self._since = since

    def _apply_changes(self, since: int) -> None:
        page = self._store.query(Query("keys", (("change", ">", since),), "change", limit=MOST_CHANGES))
        if page.next_cursor:
            self._start_afresh()
        elif page.documents:
            with self._applying:
                for key_id, document in page.entries:
                    if key_id in self._known:
                        self._known[key_id] = _credential(document)
                # One that cannot be read may have any number, and must not hide the changes to come.
                self._since = max((each["change"] for each in page.documents if _is_key(each)), default=since)

    def _note_failure(self, error: Unavailable) -> None:
        self._retry_at = self._now() + RETRY_S
        if not self._is_failing:
            self._is_failing = True
            log.warning(
                "changes of keys cannot be seen; known keys are believed for a while",
                extra={"fields": {"detail": error.detail, "grace_s": self._grace_s}},
            )

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            log.info("changes of keys can be seen again")


def in_thread(work: Work) -> None:
    threading.Thread(target=work, name="key-changes", daemon=True).start()


def remember(entries: dict[K, V], key: K, value: V) -> None:
    """Adds an entry, in place of the oldest when there are too many."""
    if len(entries) >= MOST_REMEMBERED:
        del entries[next(iter(entries))]
    entries[key] = value


def _is_key(document: Document) -> bool:
    try:
        return isinstance(from_document(document).change, int)
    except (KeyError, TypeError, ValueError):
        return False


def _credential(document: Document | None) -> Credential:
    """A document that cannot be read belongs to nobody: one bad key must not close the door to the others."""
    if document is None:
        return NOBODY
    try:
        return credential(from_document(document))
    except (KeyError, TypeError, ValueError) as error:
        fields = {"key_id": document.get("id"), "detail": repr(error)}
        log.error("a key's document cannot be read", extra={"fields": fields})
        return NOBODY
