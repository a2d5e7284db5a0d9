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
from functions.gateway.stage import Handler
from shared import telemetry
from shared.core.errors import InvalidRequest, OmniError, Unavailable
from shared.core.fair_gate import FairThreads
from shared.idempotency import LEASE_S, Claim, IdempotencyKeys, KeyedRequest
from shared.settings import Settings
from shared.web.asgi import Message, look_into
from shared.web.reply import Reply

HEADER = b"idempotency-key"
KEY = re.compile(r"[\x21-\x7e]{1,255}")
MARK = re.compile(rb'^multipart/.*\bboundary="?([^\s";]{8,70})', re.IGNORECASE)
THREADS = 8
"""Of its own, shared by tenants: a store that hangs must not keep other work from the event loop's threads."""
MAY_HAVE_BEEN_DONE = frozenset({500, 502, 504})

log = logging.getLogger("omni.gateway")


class Replay:
    def __init__(self, settings: Settings, keys: IdempotencyKeys, renew_every_s: float = LEASE_S / 3) -> None:
        self._settings = settings
        self._keys = keys
        self._renew_every_s = renew_every_s
        self._threads = FairThreads(THREADS, "replay")

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        if HEADER not in exchange.headers or exchange.method != "POST" or exchange.caller is None:
            await proceed(exchange)
            return
        key = exchange.header(HEADER).strip(" \t")
        if not KEY.fullmatch(key):
            raise InvalidRequest(
                "'Idempotency-Key' must be 1 to 255 characters of visible ASCII.",
                param="Idempotency-Key",
                code="invalid_idempotency_key",
            )
        content = await body.read(exchange, self._settings)
        fingerprint = await look_into(content, _fingerprint, exchange, content)
        request = KeyedRequest(exchange.caller.tenant, key, fingerprint)
        claimed = await self._threads.run(request.tenant, self._keys.claim, request)
        if isinstance(claimed, Claim):
            await self._run_first(exchange, proceed, claimed)
        else:
            await self._replay(exchange, claimed)

    async def _replay(self, exchange: Exchange, kept: Reply) -> None:
        if exchange.route and exchange.route.kind == "inference":
            exchange.model = (await body.asked(exchange, self._settings)).model
            exchange.reply_headers.append((COST, b"0"))
        exchange.answered_from = "replay"
        exchange.reply_headers.append((b"idempotency-replayed", b"true"))
        telemetry.REPLAYS.labels(exchange.route_name).inc()
        await exchange.reply(kept)

    async def _run_first(self, exchange: Exchange, proceed: Handler, claim: Claim) -> None:
        run = FirstRun(exchange, self._keys, claim, self._threads)
        renewal = asyncio.create_task(run.keep_claim(self._renew_every_s))
        try:
            await proceed(exchange)
        except OmniError as error:
            await run.failed(error)
            raise
        finally:
            renewal.cancel()
            await run.end()


class FirstRun:
    """Stands between the exchange and its connection, so that the answer is kept before its last part leaves.

    The run goes on when its caller leaves: with the key it may come back for the answer.
    """

    def __init__(self, exchange: Exchange, keys: IdempotencyKeys, claim: Claim, threads: FairThreads) -> None:
        self._exchange = exchange
        self._tenant = exchange.caller.tenant if exchange.caller else ""
        self._threads = threads
        self._keys = keys
        self._claim = claim
        self._recording = Recording()
        self._is_finished = False
        self._send, self._receive = exchange.send, exchange.receive
        exchange.send, exchange.receive = self._keep_and_send, _hear_nothing

    async def keep_claim(self, renew_every_s: float) -> None:
        while True:
            await asyncio.sleep(renew_every_s)
            with suppress(Unavailable):  # the next try may reach the store
                await self._threads.run(self._tenant, self._keys.renew, self._claim)

    async def failed(self, error: OmniError) -> None:
        may_have_been_done = error.status in MAY_HAVE_BEEN_DONE and not error.nothing_was_done
        if may_have_been_done and not self._exchange.status:
            await self._finish(Reply.problem(error, self._exchange.request_id))

    async def end(self) -> None:
        """Frees the key unless an answer was kept."""
        self._exchange.send, self._exchange.receive = self._send, self._receive
        if not self._is_finished:
            await self._settle(partial(self._keys.release, self._claim))

    async def _keep_and_send(self, message: Message) -> None:
        self._recording.take(message)
        if self._recording.complete and await _is_final(self._recording):
            route = self._exchange.route
            await self._finish(None if route and route.secret_answer else self._recording.reply())
        await self._send(message)

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


async def _hear_nothing() -> Message:
    message: Message = await asyncio.get_running_loop().create_future()
    return message
