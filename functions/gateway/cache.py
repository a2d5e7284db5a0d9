"""Gives an answer that a model has given before, and asks it once for all who ask the same at the same time.

For requests at temperature 0, and for those that ask for it with `Cache-Control: max-age=N`; within a tenant.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec

from functions.gateway import body
from functions.gateway.cache_control import CacheControl
from functions.gateway.charge import HEADER
from functions.gateway.exchange import Exchange
from functions.gateway.flight import Flight
from functions.gateway.kept_answers import Found, KeptAnswers, Question
from functions.gateway.stage import Handler
from functions.gateway.watch import CallerWatch
from shared import telemetry
from shared.catalogue import Catalogue
from shared.core.errors import OmniError
from shared.core.fair_gate import FairThreads
from shared.core.keys import Caller
from shared.core.routing import Model
from shared.manifest import Route
from shared.settings import Settings
from shared.surfaces.request import InferenceRequest
from shared.web.asgi import look_into

NOT_IN_THE_ANSWER = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "stream", "stream_options", "user"})
"""Fields of a request that do not change what a model says."""
NOTHING_SAID = CacheControl()
BYPASS, MISS, HIT = "bypass", "miss", "hit"
POLL_S = 0.1
THREADS = 8

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asking:
    """A request that the cache may answer."""

    exchange: Exchange
    proceed: Handler
    question: Question
    control: CacheControl


class Cache:
    def __init__(self, settings: Settings, catalogue: Catalogue, kept: KeptAnswers) -> None:
        self._settings = settings
        self._kept = kept
        self._versions = {model.id: _version(model) for model in catalogue.models}
        self._flights: dict[tuple[Question, CacheControl], Flight] = {}
        self._threads = FairThreads(THREADS, "cache")

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        route, caller = exchange.route, exchange.caller
        if route is None or caller is None or route.kind != "inference":
            await proceed(exchange)
            return
        asked = await body.asked(exchange, self._settings)
        if asked.model not in self._versions:
            await proceed(exchange)
            return
        exchange.model = asked.model
        control = _control(exchange)
        if not control.wants_cache(asked.temperature) or b"prefer" in exchange.headers:
            _note(exchange, BYPASS)
            await proceed(exchange)
            return
        question = await self._question(exchange, route, caller, asked)
        await self._answer(Asking(exchange, proceed, question, control))

    async def _question(self, exchange: Exchange, route: Route, caller: Caller, asked: InferenceRequest) -> Question:
        content = await body.read(exchange, self._settings)
        place = (caller.tenant, route.name, exchange.query.decode("latin-1"), self._versions[asked.model])
        key = await look_into(content, _key, msgspec.json.encode(place), content)
        return Question(key, bool(asked.stream), not asked.stream or asked.wants_usage)

    async def _answer(self, asking: Asking) -> None:
        same = asking.question, asking.control
        while flight := self._flights.get(same):
            if await flight.follow(asking.exchange, _note_hit):
                return
        close = partial(self._close, same)
        flight = Flight(asking.exchange, close)
        if not asking.control.no_cache:
            self._flights[same] = flight
        try:
            await self._lead(flight, asking)
        except OmniError as error:
            flight.fail(error)
            raise
        finally:
            close(flight)
            flight.end()

    def _close(self, same: tuple[Question, CacheControl], flight: Flight) -> None:
        """Nobody can join the flight any more."""
        if self._flights.get(same) is flight:
            del self._flights[same]

    async def _lead(self, flight: Flight, asking: Asking) -> None:
        exchange = asking.exchange
        if asking.control.no_cache:
            _note(exchange, BYPASS)
            await self._make(flight, asking)
        elif found := await self._find(asking):
            await _give(flight, exchange, found)
        elif asking.question.as_stream or not self._kept.are_shared:
            _note(exchange, MISS)
            await self._make(flight, asking)
        else:
            await self._make_for_all_instances(flight, asking)

    async def _make(self, flight: Flight, asking: Asking) -> None:
        await asking.proceed(asking.exchange)
        flight.end()
        if reply := flight.recording.reply():
            await self._in_thread(asking, self._kept.keep, asking.question, reply, _usage(asking.exchange))

    async def _make_for_all_instances(self, flight: Flight, asking: Asking) -> None:
        """Whole answers only: a stream that another instance makes would have to be waited for to its end."""
        with CallerWatch(asking.exchange):
            found = await self._made_elsewhere(asking)
        if found:
            await _give(flight, asking.exchange, found)
            return
        _note(asking.exchange, MISS)
        try:
            await self._make(flight, asking)
        finally:
            await self._in_thread(asking, self._kept.release, asking.question)

    async def _made_elsewhere(self, asking: Asking) -> Found | None:
        """The answer that another instance is making; None once this one has the claim and is to make it."""
        while True:
            claimed = await self._in_thread(asking, self._kept.claim, asking.question)
            if found := await self._find(asking):
                if claimed:
                    await self._in_thread(asking, self._kept.release, asking.question)
                return found
            if claimed:
                return None
            await asyncio.sleep(POLL_S)

    async def _in_thread(self, asking: Asking, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        caller = asking.exchange.caller
        return await self._threads.run(caller.tenant if caller else "", work, *args, **kwargs)

    async def _find(self, asking: Asking) -> Found | None:
        if self._kept.are_shared:
            return await self._in_thread(asking, self._kept.find, asking.question, asking.control)
        return self._kept.find(asking.question, asking.control)


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


async def _give(flight: Flight, exchange: Exchange, found: Found) -> None:
    flight.age_s = found.age_s
    _note_hit(exchange, found.age_s)
    await exchange.reply(found.reply)


def _note_hit(exchange: Exchange, age_s: float) -> None:
    _note(exchange, HIT)
    exchange.reply_headers.append((b"age", b"%d" % age_s))
    exchange.reply_headers.append((HEADER, b"0"))
    exchange.answered_from = "cache"


def _note(exchange: Exchange, outcome: str) -> None:
    exchange.reply_headers.append((b"x-omni-cache", outcome.encode()))
    telemetry.CACHE.labels(exchange.model, outcome).inc()
