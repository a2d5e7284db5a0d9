"""Gives an answer that a model has given before, and asks it once for all who ask the same at the same time.

For requests at temperature 0, and for those that ask for it with `Cache-Control: max-age=N`; within a tenant.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec

from functions.gateway import body
from functions.gateway.cache_control import CacheControl
from functions.gateway.charge import HEADER
from functions.gateway.exchange import Exchange
from functions.gateway.flight import Flight
from functions.gateway.kept_answers import Found, KeptAnswers, Question
from functions.gateway.stage import Outcome, Stage, Wait
from shared import telemetry
from shared.catalogue import Catalogue
from shared.core.errors import OmniError
from shared.core.fair_gate import FairThreads
from shared.core.keys import Caller
from shared.core.routing import Model
from shared.manifest import Route
from shared.surfaces.request import InferenceRequest
from shared.web.asgi import look_into
from shared.web.reply import Reply

NOT_IN_THE_ANSWER = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "stream", "stream_options", "user"})
"""Fields of a request that do not change what a model says."""
NOTHING_SAID = CacheControl()
BYPASS, MISS, HIT = "bypass", "miss", "hit"
POLL_S = 0.1
THREADS = 8

P = ParamSpec("P")
T = TypeVar("T")


class Cache(Stage):
    def __init__(self, catalogue: Catalogue, kept: KeptAnswers) -> None:
        self._kept = kept
        self._versions = {model.id: _version(model) for model in catalogue.models}
        self._flights: dict[tuple[Question, CacheControl], Flight] = {}
        self._threads = FairThreads(THREADS, "cache")

    def enter(self, exchange: Exchange) -> Outcome:
        route, caller, asked = exchange.route, exchange.caller, exchange.asked
        if route is None or caller is None or asked is None or asked.model not in self._versions:
            return None
        exchange.model = asked.model
        control = _control(exchange)
        if not control.wants_cache(asked.temperature) or b"prefer" in exchange.headers:
            _note(exchange, BYPASS)
            return None
        return Wait(self._look(exchange, self._question(exchange, route, caller, asked), control))

    def leave(self, exchange: Exchange) -> Wait | None:
        if (flight := exchange.flight) is None:
            return None
        if isinstance(exchange.error, OmniError) and not exchange.was_cancelled:
            flight.fail(exchange.error)
        flight.end()
        if not flight.has_claim and (exchange.error or exchange.answered_from):
            flight.close()
            return None
        return Wait(self._settle(flight, exchange))

    async def _question(self, exchange: Exchange, route: Route, caller: Caller, asked: InferenceRequest) -> Question:
        content = exchange.content or b""
        place = (caller.tenant, route.name, exchange.query.decode("latin-1"), self._versions[asked.model])
        key = await look_into(content, _key, msgspec.json.encode(place), content)
        return Question(key, bool(asked.stream), not asked.stream or asked.wants_usage)

    async def _look(
        self, exchange: Exchange, asking: Coroutine[None, None, Question], control: CacheControl
    ) -> Reply | None:
        """The answer, if another request's is or can be given; else it is made for this one, and others may join."""
        question = await asking
        same = question, control
        while flight := self._flights.get(same):
            if await flight.follow(exchange, _note_hit):
                return None
        flight = exchange.flight = Flight(exchange, question, partial(self._close, same))
        if control.no_cache:
            _note(exchange, BYPASS)
            return None
        self._flights[same] = flight
        found = await self._find(exchange, question, control)
        if found is None and self._kept.are_shared and not question.as_stream:
            # Whole answers only: a stream that another instance makes would have to be waited for to its end.
            found = await self._made_elsewhere(exchange, flight, control)
        if found is None:
            _note(exchange, MISS)
            return None
        flight.age_s = found.age_s
        _note_hit(exchange, found.age_s)
        return found.reply

    def _close(self, same: tuple[Question, CacheControl], flight: Flight) -> None:
        """No other request can join the flight any more."""
        if self._flights.get(same) is flight:
            del self._flights[same]

    async def _settle(self, flight: Flight, exchange: Exchange) -> None:
        """Keeps the answer, if there is one to keep."""
        question, reply = flight.question, flight.recording.reply()
        try:
            if reply and not (exchange.error or exchange.answered_from):
                await self._in_thread(exchange, self._kept.keep, question, reply, _usage(exchange))
        finally:
            flight.close()
            if flight.has_claim:
                await self._in_thread(exchange, self._kept.release, question)

    async def _made_elsewhere(self, exchange: Exchange, flight: Flight, control: CacheControl) -> Found | None:
        """The answer that another instance is making; None once this one has the claim and is to make it."""
        while True:
            flight.has_claim = await self._in_thread(exchange, self._kept.claim, flight.question)
            found = await self._find(exchange, flight.question, control)
            if found or flight.has_claim:
                return found
            await asyncio.sleep(POLL_S)

    async def _in_thread(self, exchange: Exchange, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._threads.run(exchange.caller.tenant if exchange.caller else "", work, *args, **kwargs)

    async def _find(self, exchange: Exchange, question: Question, control: CacheControl) -> Found | None:
        if self._kept.are_shared:
            return await self._in_thread(exchange, self._kept.find, question, control)
        return self._kept.find(question, control)


def _key(place: bytes, content: bytes) -> str:
    hashed = hashlib.sha256(place)
    hashed.update(body.canonical(content, NOT_IN_THE_ANSWER))
    return hashed.hexdigest()


def _version(model: Model) -> str:
    """Changes with whatever answers for the model."""
    targets = sorted(f"{target.url} {target.model}" for target in model.upstreams)
    return "\n".join([model.id, model.version, *targets])


def _control(exchange: Exchange) -> CacheControl:
    if b"cache-control" in exchange.headers:
        return CacheControl.parse(exchange.header(b"cache-control"))
    return NOTHING_SAID


def _usage(exchange: Exchange) -> dict[str, int] | None:
    """The tokens that the upstream told of, also where it did not tell the caller."""
    tokens_in, tokens_out = exchange.tokens_in, exchange.tokens_out
    if exchange.usage_is_estimated or not (tokens_in or tokens_out):
        return None
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _note_hit(exchange: Exchange, age_s: float) -> None:
    _note(exchange, HIT)
    exchange.reply_headers.append((b"age", b"%d" % age_s))
    exchange.reply_headers.append((HEADER, b"0"))
    exchange.answered_from = "cache"


def _note(exchange: Exchange, outcome: str) -> None:
    exchange.reply_headers.append((b"x-omni-cache", outcome.encode()))
    telemetry.CACHE.labels(exchange.model, outcome).inc()
