"""A schedule's round over documents: no document, whatever is wrong with it, keeps the others waiting.

One that cannot be worked on is logged, counted and passed over. When that happens in several rounds in a row it is set
aside and not met again until it is released. A service that is down is held against no document. A round that is out of
time is gone on with by the next one in the same process, so that the first documents do not take all rounds.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from shared import telemetry
from shared.core.errors import BadDocument, Unavailable
from shared.core.positions import Position, to_cursor
from shared.pages import every_entry
from shared.ports.clock import Clock
from shared.ports.store import Document, Entry, Query, Store
from shared.sweeps.quarantine import Mark, Quarantine
from shared.sweeps.report import Deadline, Report

MOST_STRIKES = 100
"""Failures that one round notes: were everything to fail, that would not fill the store and the log."""

Act = Callable[[Document], bool]
"""Works on a document; whether that changed it."""

log = logging.getLogger("omni.sweeps")


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a round was out of time."""

    shelf: tuple[Any, ...]
    """What tells the query from the others of its round."""
    cursor: str


class Sweeps:
    """Makes rounds."""

    def __init__(self, store: Store, clock: Clock, quarantine_after: int) -> None:
        self._store = store
        self._clock = clock
        self._quarantine_after = quarantine_after
        self._stops: dict[tuple[str, str], Stop] = {}

    def begin(self, schedule: str, collection: str) -> "Sweep":
        quarantine = Quarantine(self._store, self._quarantine_after)
        return Sweep(self._store, Deadline(self._clock), quarantine, self._stops, schedule, collection)


class Sweep:
    """One round of one schedule over documents of one collection."""

    def __init__(
        self,
        store: Store,
        deadline: Deadline,
        quarantine: Quarantine,
        stops: dict[tuple[str, str], Stop],
        schedule: str,
        collection: str,
    ) -> None:
        self._store = store
        self._stops = stops
        self.deadline = deadline
        self._quarantine = quarantine
        self._schedule = schedule
        self._collection = collection
        self._marks: dict[str, Mark] | None = None
        self._strikes = 0
        self._outages = 0
        self.report = Report()

    def over(self, queries: Iterable[Query], act: Act) -> Report:
        """Goes through all documents of the queries, as long as there is time."""
        done: set[str] = set()
        for query in self._in_turn(list(queries)):
            cursor = query.cursor
            for entry in every_entry(self._store, query):
                if self.deadline.is_over:
                    self._stops[self._schedule, self._collection] = Stop(_shelf(query), cursor)
                    self.report = self.report.incomplete()
                    return self.report
                if entry.key not in done:
                    self.do(entry, act)
                done.add(entry.key)
                cursor = to_cursor(Position(entry.document[query.order_by], entry.key))
        return self.report

    def _in_turn(self, queries: list[Query]) -> list[Query]:
        """The queries, from where the last round was out of time to there."""
        stop = self._stops.pop((self._schedule, self._collection), None)
        shelves = [_shelf(query) for query in queries]
        if stop is None or stop.shelf not in shelves:
            return queries
        first = shelves.index(stop.shelf)
        rest = queries[first + 1 :] + queries[:first]
        return [replace(queries[first], cursor=stop.cursor), *rest, queries[first]]

    def do(self, entry: Entry, act: Act) -> bool:
        """Works on one document; whether that changed it."""
        mark = self._known().get(entry.key)
        if mark and mark.quarantined_at is not None:
            return False
        try:
            changed = self._checked(entry, act)
        except Unavailable as error:
            self._outages += 1
            if self._outages <= MOST_STRIKES:
                self._pass_over(entry, error.detail or error.message)
            self.report += Report(examined=1, failed=1)
            return False
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one must not keep the others waiting
            self._fail(entry, error)
            self.report += Report(examined=1, failed=1)
            return False
        if mark and mark.schedule == self._schedule:
            self._forgive(mark)
        self.report += Report(examined=1, changed=int(changed))
        return changed

    @staticmethod
    def _checked(entry: Entry, act: Act) -> bool:
        if entry.document.get("id") != entry.key:
            raise BadDocument(f"the document {entry.key!r} cannot be read, or has another id")
        return act(entry.document)

    def _known(self) -> dict[str, Mark]:
        """Read with the first document: a round without any costs nothing."""
        if self._marks is None:
            self._marks = {}
            for mark in self._quarantine.marks(self._collection):
                known = self._marks.get(mark.key)
                if known is None or mark.quarantined_at is not None or mark.schedule == self._schedule:
                    self._marks[mark.key] = known if known and known.quarantined_at is not None else mark
        return self._marks

    def _fail(self, entry: Entry, error: Exception) -> None:
        self._strikes += 1
        reason = str(error) if isinstance(error, BadDocument) else type(error).__qualname__
        self._pass_over(entry, reason, error)
        if self._strikes > MOST_STRIKES:
            return
        try:
            mark = self._quarantine.strike(self._schedule, self._collection, entry.key, reason)
        except Unavailable as unavailable:
            log.warning("a failure was not noted", extra={"fields": {"reason": unavailable.detail}})
            return
        if mark.quarantined_at is not None:  # an alert counts these lines
            fields = self._fields(entry) | {"quarantine": mark.id, "failures": mark.failures, "reason": reason}
            log.error("document is set aside", extra={"fields": fields})
            telemetry.DOCUMENTS_QUARANTINED.labels(self._schedule, self._collection).inc()

    def _pass_over(self, entry: Entry, reason: str, error: Exception | None = None) -> None:
        telemetry.DOCUMENTS_PASSED_OVER.labels(self._schedule, self._collection).inc()
        if self._strikes <= MOST_STRIKES:
            story = None if error is None or isinstance(error, BadDocument) else error
            fields = self._fields(entry) | {"reason": reason}
            log.error("a document was passed over", extra={"fields": fields}, exc_info=story)

    def _forgive(self, mark: Mark) -> None:
        try:
            self._quarantine.clear(mark)
        except Unavailable as error:
            log.warning("a failure was not forgotten", extra={"fields": {"reason": error.detail}})

    def _fields(self, entry: Entry) -> dict[str, str]:
        return {"schedule": self._schedule, "collection": self._collection, "document": entry.key}


def _shelf(query: Query) -> tuple[Any, ...]:
    return tuple(condition for condition in query.where if condition[1] == "==")
