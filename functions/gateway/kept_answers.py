"""Answers in the cache: one form is kept, from which whole answers and streams are made alike.

A cache that cannot be reached holds nothing: requests go on without it, and it is left alone for a moment.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from functions.gateway import completion
from functions.gateway.cache_control import CacheControl
from shared import telemetry
from shared.core.breaker import Breaker
from shared.core.errors import Unavailable
from shared.ports.cache import Cache
from shared.ports.clock import Clock
from shared.web.reply import JSON, Reply

MOST_KEPT_BYTES = 1024 * 1024
CLAIM_S = 30.0
"""How long other instances wait at most for one that makes an answer."""
EVENTS = "text/event-stream"
STREAM = [("content-type", EVENTS), ("cache-control", "no-cache")]

T = TypeVar("T")
log = logging.getLogger("omni.gateway")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and in which form the answer is wanted."""

    key: str
    """The same for all requests that a model would answer in the same way."""
    as_stream: bool
    with_usage: bool
    """In a stream, where it must be asked for; a whole answer always has it."""


class KeptAnswer(msgspec.Struct):
    kept_at: float
    """Seconds since 1970."""
    has_usage: bool
    """False: it was a stream whose usage nobody asked for."""
    answer: msgspec.Raw
    """As a whole answer."""


@dataclass(frozen=True, slots=True)
class Found:
    reply: Reply
    age_s: float


_encode = msgspec.json.Encoder().encode
_decode_kept = msgspec.json.Decoder(KeptAnswer).decode
_decode_answer = msgspec.json.Decoder(dict[str, Any]).decode


class KeptAnswers:
    """Blocks while the cache is asked."""

    def __init__(self, cache: Cache, clock: Clock, ttl_s: float) -> None:
        self.are_shared = cache.is_shared
        """With other instances; else memory answers, and nothing blocks."""
        self._cache = cache
        self._clock = clock
        self._ttl_s = ttl_s
        self._breaker = Breaker()
        self._is_down = False

    def find(self, question: Question, control: CacheControl) -> Found | None:
        found = self._ask(lambda: self._cache.get(f"answer:{question.key}"), None)
        kept = _kept(found) if found else None
        if kept is None:
            return None
        age_s = max(0.0, self._clock.now() - kept.kept_at)
        if not control.takes(age_s) or (question.with_usage and not kept.has_usage):
            return None
        return Found(_reply(question, kept), age_s)

    def keep(self, question: Question, reply: Reply, usage: dict[str, int] | None) -> None:
        """Keeps an answer if the model finished it. `usage` is for one that does not tell it."""
        streamed = dict(reply.headers).get("content-type", "").startswith(EVENTS)
        if not streamed and len(reply.body) > MOST_KEPT_BYTES:  # before it is decoded
            return
        answer = completion.from_stream(reply.body) if streamed else completion.from_whole(reply.body)
        if reply.status != 200 or answer is None:
            return
        if streamed and usage and not answer.get("usage"):
            answer["usage"] = usage
        raw = _encode(answer) if streamed else reply.body
        if len(raw) <= MOST_KEPT_BYTES:
            has_usage = not streamed or "usage" in answer
            kept = _encode(KeptAnswer(self._clock.now(), has_usage, msgspec.Raw(raw)))
            self._ask(lambda: self._cache.put(f"answer:{question.key}", kept, self._ttl_s), None)

    def claim(self, question: Question) -> bool:
        """Whether this instance is to make the answer; False while another one does."""
        return self._ask(lambda: self._cache.add(f"making:{question.key}", b"", CLAIM_S), otherwise=True)

    def release(self, question: Question) -> None:
        self._ask(lambda: self._cache.drop(f"making:{question.key}"), None)

    def _ask(self, request: Callable[[], T], otherwise: T) -> T:
        if not self._breaker.admits(self._clock.monotonic()):
            return otherwise
        try:
            answer = request()
        except Unavailable as error:
            self._breaker.record_failure(self._clock.monotonic())
            telemetry.CACHE_FAILURES.inc()
            self._tell(error)
            return otherwise
        self._breaker.record_success()
        self._tell(None)
        return answer

    def _tell(self, error: Unavailable | None) -> None:
        """One line when an outage begins, and one when it is over."""
        if error and not self._is_down:
            log.warning("no cache: every answer is made anew", extra={"fields": {"detail": error.detail}})
        elif not error and self._is_down:
            log.warning("the cache is back")
        self._is_down = error is not None


def _kept(found: bytes) -> KeptAnswer | None:
    try:
        return _decode_kept(found)
    except msgspec.DecodeError:  # of another release, which shares the server
        return None


def _reply(question: Question, kept: KeptAnswer) -> Reply:
    raw = bytes(kept.answer)
    if not question.as_stream:
        return Reply(200, raw, [JSON])
    return Reply(200, completion.to_stream(_decode_answer(raw), with_usage=question.with_usage), STREAM)
