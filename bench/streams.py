"""Streams of tokens from an OpenAI-compatible server: how many arrive a second.

Each stream is a thread that only reads; what was read is looked at when the clock has stopped.
"""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.processes import BenchError

PATIENCE_S = 120.0
DONE = b"data: [DONE]"
EVENT = b"data: {"


@dataclass(frozen=True, slots=True)
class Source:
    """A server that streams, and how it is asked."""

    name: str
    port: int
    path: str
    headers: Callable[[], Mapping[str, str]]
    """Made anew for each request: a signed caller is good for 60 s only."""


@dataclass(frozen=True, slots=True)
class Streamed:
    tokens: int
    """As the server's own `usage` tells."""
    seconds: float
    """From the first request to the last byte of all streams."""

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


def stream(source: Source, bodies: list[bytes]) -> Streamed:
    """Sends all requests at once; BenchError unless every stream comes to its end."""
    threads = ThreadPoolExecutor(len(bodies))
    try:
        started = time.perf_counter()
        answers = list(threads.map(lambda body: _read(source, body), bodies))
        seconds = time.perf_counter() - started
    finally:
        threads.shutdown(wait=False)  # when the bench is stopped: the streams end with their servers
    return Streamed(sum(tokens_in(source, answer) for answer in answers), seconds)


def _read(source: Source, body: bytes) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=PATIENCE_S)
    try:
        connection.request("POST", source.path, body, {"content-type": "application/json", **source.headers()})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{source.name} broke off: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise BenchError(f"{source.name} answered {answer.status}: {content[:300]!r}")
    if answer.getheader("age") is not None:
        raise BenchError(f"{source.name} answered from a cache, so nothing was generated")
    return content


def tokens_in(source: Source, content: bytes) -> int:
    """How many tokens a finished stream brought; BenchError when its end or its usage is missing."""
    events = [json.loads(line[6:]) for line in content.splitlines() if line.startswith(EVENT)]
    usages = [event["usage"] for event in events if event.get("usage")]
    if DONE not in content or not usages:
        raise BenchError(f"{source.name} ended a stream early: {content[-300:]!r}")
    return int(usages[-1]["completion_tokens"])
