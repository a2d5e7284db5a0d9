"""GET /api/v1/jobs/{id}/events: a job as server-sent events, until it is final.

An event's id says all that its reader has seen, so a reader that comes back with `Last-Event-ID` is told what is new
and nothing else; one that has seen the end gets 204, which ends an EventSource for good.
"""

import asyncio
import hashlib
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from functions.gateway.exchange import Exchange
from functions.gateway.job_watch import JobWatch, Sight, Watched
from shared.core.jobs import Job
from shared.core.keys import Caller
from shared.jobs.view import view

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
RETRY = b"retry: 1000\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
END = "end"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader has been told, by fingerprint."""

    state: str = ""
    progress: str = ""
    end: str = ""

    @classmethod
    def of(cls, last_event_id: str) -> "Seen":
        """What is no id of ours has seen nothing."""
        parts = last_event_id.split(".")
        return cls(*parts) if len(parts) == 3 else cls()

    def __str__(self) -> str:
        return f"{self.state}.{self.progress}.{self.end}"


class JobEvents:
    def __init__(self, watch: JobWatch, keep_alive_s: float) -> None:
        self._watch = watch
        self._keep_alive_s = keep_alive_s

    async def __call__(self, exchange: Exchange, caller: Caller, longest_s: float) -> None:
        """Ends after `longest_s` at the latest; the reader then comes back for the rest."""
        seen = Seen.of(exchange.header(b"last-event-id"))
        async with self._watch.watching(caller.tenant, _job_id(exchange.path)) as watched:
            if seen.end == END and watched.sight.job.state.is_final:
                await exchange.begin(204, [])
                await exchange.write(b"", more=False)
                return
            await exchange.begin(200, HEADERS)
            await exchange.write(RETRY, more=True)
            try:
                async with asyncio.timeout(longest_s):
                    await self._tell(exchange, watched, seen)
            except TimeoutError:
                pass
            await exchange.write(b"", more=False)

    async def _tell(self, exchange: Exchange, watched: Watched, seen: Seen) -> None:
        while not watched.is_gone:
            changed, sight = watched.changed, watched.sight
            events, seen = await self._news(sight, seen)
            if events:
                await exchange.write(events, more=True)
            if sight.job.state.is_final:
                return
            try:
                await asyncio.wait_for(changed.wait(), self._keep_alive_s)
            except TimeoutError:
                await exchange.write(KEEP_ALIVE, more=True)

    async def _news(self, sight: Sight, seen: Seen) -> tuple[bytes, Seen]:
        """The events that a reader who has seen so much has not had, and what it has seen then."""
        events, job = b"", sight.job
        state, progress = _state(sight), _progress(job)
        if (mark := _mark(state)) != seen.state:
            seen = replace(seen, state=mark, end="")
            events += _event("state", seen, state)
        if progress and (mark := _mark(progress)) != seen.progress:
            seen = replace(seen, progress=mark)
            events += _event("progress", seen, progress)
        if job.state.is_final and seen.end != END:
            seen = replace(seen, end=END)
            result: dict[str, Any] = view(job) | {"result": await self._watch.result(job)}
            events += _event("result", seen, _encode(result))
        return events, seen


def _job_id(path: str) -> str:
    return path.removeprefix("/api/v1/jobs/").removesuffix("/events")


def _state(sight: Sight) -> bytes:
    job = sight.job
    return _encode(
        {
            "state": job.state,
            "substate": job.substate,
            "attempt": job.attempt,
            "max_attempts": job.max_attempts,
            "cancel_requested": job.cancel_requested,
            "queue_position": sight.queue_position,
            "error": job.error,
        }
    )


def _progress(job: Job) -> bytes:
    told = job.progress
    return _encode({"fraction": told.fraction, "message": told.message}) if told else b""


def _mark(data: bytes) -> str:
    return hashlib.blake2s(data, digest_size=6).hexdigest()


def _event(name: str, seen: Seen, data: bytes) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(seen).encode(), name.encode(), data)
