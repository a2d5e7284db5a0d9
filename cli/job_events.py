"""A job's own events: told the moment something changes, where asking again and again would be late."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from cli.answers import Job, JobNews
from cli.client import Answer, Client
from cli.events import Event

MOST_SILENCE_S = 60.0
"""Six times as long as the platform lets a stream be silent."""


@dataclass(slots=True)
class Follower:
    """What has been told of a job so far; an interrupted stream is taken up where it ended."""

    client: Client
    path: str
    last_event_id: str = ""
    known: dict[str, Any] | None = None

    @contextmanager
    def news(self) -> Iterator[Iterator[Job | Answer]]:
        """The job at each change, and at its end the platform's whole answer. CliError when there are no events."""
        headers = {"last-event-id": self.last_event_id} if self.last_event_id else {}
        with self.client.events(f"{self.path}/events", headers, MOST_SILENCE_S) as events:
            yield self._read(events)

    def _read(self, events: Iterator[Event]) -> Iterator[Job | Answer]:
        for event in events:
            self.last_event_id = event.id
            if event.name == "result":
                yield Answer(200, {}, event.data, 0.0)
                return
            yield self._learn(event)

    def _learn(self, event: Event) -> Job:
        told: Any = msgspec.json.decode(event.data)
        known = self.known or {"id": self.path.rsplit("/", 1)[-1], "task": "", "created_at": 0.0}
        self.known = known | (told if event.name == "state" else {event.name: told})
        return msgspec.convert({"state": "queued", "attempt": 0, "max_attempts": 0} | self.known, JobNews)
