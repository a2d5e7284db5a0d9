"""Keeps the promise of `Idempotency-Key` on every POST: done once, and the same answer for whoever asks again.

What is kept is the first answer that was given whole. A failure is kept too once the work may have been done: doing
it again under the same key could do it twice. Where it is known that nothing was done, and where a stream broke off,
the key is free again.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from functions.gateway import body, completion
from functions.gateway.charge import HEADER as COST
from functions.gateway.exchange import Exchange
from functions.gateway.recording import Recording
from functions.gateway.stage import Stage, Wait
from shared import telemetry
from shared.core.errors import InvalidRequest, OmniError, Unavailable
from shared.core.fair_gate import FairThreads
from shared.core.keys import Caller
from shared.idempotency import LEASE_S, Claim, IdempotencyKeys, KeyedRequest
from shared.settings import Settings
from shared.web.asgi import RawHeaders, look_into
from shared.web.reply import Reply

HEADER = b"idempotency-key"
KEY = re.compile(r"[\x21-\x7e]{1,255}")
MARK = re.compile(rb'^multipart/.*\bboundary="?([^\s";]{8,70})', re.IGNORECASE)
THREADS = 8
"""Of its own, shared by tenants: a store that hangs must not keep other work from the event loop's threads."""
MAY_HAVE_BEEN_DONE = frozenset({500, 502, 504})

log = logging.getLogger("omni.gateway")


class Replay(Stage):
    def __init__(self, settings: Settings, keys: IdempotencyKeys, renew_every_s: float = LEASE_S / 3) -> None:
        self._settings = settings
        self._keys = keys
        self._renew_every_s = renew_every_s
        self._threads = FairThreads(THREADS, "replay")

    def enter(self, exchange: Exchange) -> Wait | None:
        if HEADER not in exchange.headers or exchange.method != "POST" or exchange.caller is None:
            return None
        key = exchange.header(HEADER).strip(" \t")
        if not KEY.fullmatch(key):
            raise InvalidRequest(
                "'Idempotency-Key' must be 1 to 255 characters of visible ASCII.",
                param="Idempotency-Key",
                code="invalid_idempotency_key",
            )
        exchange.reasons_to_go_on.append(_always)  # a claim that was made has to be settled
        return Wait(self._claim(exchange, exchange.caller, key))

    def leave(self, exchange: Exchange) -> Wait | None:
        return Wait(exchange.first_run.end()) if exchange.first_run else None

    async def _claim(self, exchange: Exchange, caller: Caller, key: str) -> Reply | None:
        content = await body.read(exchange, self._settings)
        request = KeyedRequest(caller.tenant, key, await look_into(content, _fingerprint, exchange, content))
        claimed = await self._threads.run(request.tenant, self._keys.claim, request)
        if isinstance(claimed, Claim):
            exchange.first_run = FirstRun(exchange, self._keys, claimed, self._threads, self._renew_every_s)
            return None
        if exchange.route and exchange.route.kind == "inference":
            exchange.model = (await body.asked(exchange, self._settings)).model
            exchange.reply_headers.append((COST, b"0"))
        exchange.answered_from = "replay"
        exchange.reply_headers.append((b"idempotency-replayed", b"true"))
        telemetry.REPLAYS.labels(exchange.route_name).inc()
        return claimed


class FirstRun:
    """Taps the answer, so that it is kept before its last part leaves.

    The run goes on when its caller leaves: with the key it may come back for the answer.
    """

    def __init__(
        self, exchange: Exchange, keys: IdempotencyKeys, claim: Claim, threads: FairThreads, renew_every_s: float
    ) -> None:
        self._exchange = exchange
        self._tenant = exchange.caller.tenant if exchange.caller else ""
        self._threads = threads
        self._keys = keys
        self._claim = claim
        self._recording = Recording()
        self._is_finished = False
        exchange.taps.append(self)
        self._renewal = asyncio.get_running_loop().create_task(self._keep_claim(renew_every_s))

    def begin(self, status: int, headers: RawHeaders) -> None:
        self._recording.begin(status, headers)

    async def take(self, part: bytes, *, more: bool) -> None:
        self._recording.take(part, more=more)
        if self._recording.complete and await _is_final(self._recording):
            route = self._exchange.route
            await self._finish(None if route and route.secret_answer else self._recording.reply())

    async def _keep_claim(self, renew_every_s: float) -> None:
        while True:
            await asyncio.sleep(renew_every_s)
            with suppress(Unavailable):  # the next try may reach the store
                await self._threads.run(self._tenant, self._keys.renew, self._claim)

    async def end(self) -> None:
        """Keeps a failure that may have done the work; frees the key unless an answer was kept."""
        exchange, error = self._exchange, self._exchange.error
        self._renewal.cancel()
        exchange.taps.remove(self)
        if isinstance(error, OmniError) and not exchange.status and _may_have_been_done(error):
            await self._finish(Reply.problem(error, exchange.request_id))
        if not self._is_finished:
            await self._settle(partial(self._keys.release, self._claim))

    async def _finish(self, reply: Reply | None) -> None:
        self._is_finished = True
        await self._settle(partial(self._keys.finish, self._claim, reply))

    async def _settle(self, action: Callable[[], None]) -> None:
        """The caller gets its answer even when the store has just gone; the claim then ends by itself."""
        try:
            await self._threads.run(self._tenant, action)
        except Unavailable as error:
            fields = {"request_id": self._exchange.request_id, "detail": error.detail}
            log.error("the outcome of a request with an idempotency key was not kept", extra={"fields": fields})


def _fingerprint(exchange: Exchange, content: bytes) -> str:
    hashed = hashlib.sha256(b"%b?%b\n" % (exchange.path.encode(), exchange.query))
    hashed.update(_compared(exchange, content))
    return hashed.hexdigest()


def _compared(exchange: Exchange, content: bytes) -> bytes:
    """What makes the body another one: not the way its JSON is written, nor an upload's own mark."""
    mark = MARK.search(exchange.headers.get(b"content-type", b""))
    return content.replace(b"--" + mark[1], b"--") if mark else body.canonical(content)


async def _is_final(recording: Recording) -> bool:
    """Whether this is the answer for everyone who comes with the key."""
    if recording.is_stream:
        stream = b"".join(recording.parts)
        return recording.is_too_large or await look_into(stream, completion.stream_ended_well, stream)
    return recording.status < 400 or recording.status in MAY_HAVE_BEEN_DONE


def _may_have_been_done(error: OmniError) -> bool:
    return error.status in MAY_HAVE_BEEN_DONE and not error.nothing_was_done


def _always() -> bool:
    return True
