"""Innermost: hands the request to whoever answers for its route, and relays the answer."""

import asyncio
from string import punctuation
from urllib.parse import quote

from functions.gateway.exchange import Exchange
from functions.gateway.functions import failures
from functions.gateway.infer import Infer
from functions.gateway.job_events import JobEvents
from functions.gateway.relay import ShortAnswer, send_on
from functions.gateway.shared_calls import RouteCalls
from functions.gateway.signer import CallerSigner
from functions.gateway.stage import Stage, Wait
from functions.gateway.transfer_rate import TransferRate
from functions.gateway.upload import Upload
from shared.core.errors import NotFound, Unavailable, UpstreamFailed
from shared.core.keys import Caller
from shared.keys.caller_token import Call
from shared.manifest import Route
from shared.ports.upstream import OutgoingRequest, Upstream
from shared.settings import Settings
from shared.web.door import INTERNAL_PREFIX
from shared.web.reply import Reply
from shared.web.system import SystemPages

READ_WINDOW_S = 30.0
"""As much as waits in the kernel for a slow caller is read in one go, so that a shorter time tells nothing."""
PASSED_ON = (b"content-type", b"accept", b"prefer", b"idempotency-key", b"traceparent")


class Forward(Stage):
    def __init__(
        self,
        settings: Settings,
        upstream: Upstream,
        signer: CallerSigner,
        calls: RouteCalls,
        infer: Infer,
        events: JobEvents,
        pages: SystemPages,
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._signer = signer
        self._calls = calls
        self._infer = infer
        self._events = events
        self._pages = pages

    def enter(self, exchange: Exchange) -> Wait:
        route, caller, content = exchange.route, exchange.caller, exchange.content
        if route is None or caller is None or route.kind == "system":  # all other routes need a caller
            return Wait(self._system(exchange))
        if content is None:
            return Wait(self._upload(exchange, route, caller))
        if route.kind == "stream":
            return Wait(self._events(exchange, caller, route.timeout_s))
        if exchange.asked:
            return Wait(self._infer(exchange, route, caller, exchange.asked, content))
        return Wait(self._function(exchange, route, caller, content))

    async def _system(self, exchange: Exchange) -> Reply:
        reply = await asyncio.to_thread(self._pages.answer, exchange.path, exchange.header(b"if-none-match"))
        if reply is None:
            raise NotFound
        return reply

    async def _upload(self, exchange: Exchange, route: Route, caller: Caller) -> None:
        most = route.max_body_bytes or self._settings.max_body_bytes
        upload = Upload(exchange, self._settings, most, route.timeout_s)
        try:
            await self._function(exchange, route, caller, b"", upload)
        except (UpstreamFailed, Unavailable):
            if upload.refusal and not exchange.status:
                raise upload.refusal from None
            raise

    async def _function(
        self, exchange: Exchange, route: Route, caller: Caller, content: bytes, upload: Upload | None = None
    ) -> None:
        url = self._settings.route_url(route.name) + INTERNAL_PREFIX + quote(exchange.path)
        query = quote(exchange.query, safe=punctuation)
        if query:
            url += "?" + query
        method = "GET" if exchange.method == "HEAD" else exchange.method
        call = Call(route.name, method, exchange.path, query)
        signed = await self._signer.for_function(caller, call, url, None if route.upload else content)
        headers = [(name.decode(), exchange.header(name)) for name in PASSED_ON if name in exchange.headers]
        headers += [*signed, ("x-request-id", exchange.request_id)]
        if upload and b"content-length" in exchange.headers:
            headers.append(("content-length", exchange.header(b"content-length")))
        request = OutgoingRequest(method, url, headers, content, route.timeout_s, upload)
        with failures(route):
            async with self._calls.hold(caller, route), self._upstream.send(request) as response:
                answer = await ShortAnswer.of(response)
                if answer is None:
                    await send_on(exchange, response, self._rate())
        if answer:
            await answer.send(exchange)

    def _rate(self) -> TransferRate:
        return TransferRate(self._settings.min_transfer_rate, READ_WINDOW_S, asyncio.get_running_loop().time)
