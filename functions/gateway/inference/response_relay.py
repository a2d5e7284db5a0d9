"""Hands an upstream's answer to the reply machine, and sends on what that gives."""

from collections.abc import Callable
from typing import Protocol

from functions.gateway.charge import HEADER
from functions.gateway.exchange import Exchange
from functions.gateway.inference.answer_meter import AnswerMeter, Part
from functions.gateway.inference.reply_machine import ReplyFailed, ReplyMachine, ReplyState, Wanted
from functions.gateway.relay import STREAM_HEADERS, send_whole
from shared import telemetry
from shared.core.errors import OmniError
from shared.ports.upstream import Response, UpstreamError
from shared.surfaces.tally import AnswerTally
from shared.web.asgi import look_into

JSON_HEADERS = [(b"content-type", b"application/json")]


class Silence(Protocol):
    """Whoever keeps the connection alive while nothing is sent."""

    def heard(self) -> None: ...


class NoAnswer(Exception):
    """Nothing of an answer has gone to the caller: another upstream may be asked, and nothing is charged."""

    def __init__(self, failed: ReplyFailed) -> None:
        super().__init__(failed.error.message)
        self.error = failed.error
        self.is_admitted = failed.is_admitted


class ResponseRelay:
    """Of one attempt."""

    def __init__(
        self,
        exchange: Exchange,
        wanted: Wanted,
        response: Response,
        keep_alive: Silence | None,
        now: Callable[[], float],
        answers: Callable[[], None],
    ) -> None:
        """`answers` is called once the upstream is seen to answer: how long the caller then takes is not its doing."""
        self._exchange = exchange
        self._wanted = wanted
        self._response = response
        self._keep_alive = keep_alive
        self._now = now
        self._answers = answers
        self._meter = AnswerMeter(exchange)
        self._reply = ReplyMachine(wanted, self._meter, response.header(b"content-type"))
        self._has_passed = False

    async def run(self, error_of: Callable[[UpstreamError], OmniError]) -> None:
        """NoAnswer, or the error to tell the caller once a part of the answer has gone out."""
        try:
            await self._relay(error_of)
        except ReplyFailed as failed:
            if not self._reply.has_begun:
                self._exchange.tally = AnswerTally(is_own=self._wanted.is_trusted)
                raise NoAnswer(failed) from failed
            await self._send(failed.last)
            raise failed.error from failed
        finally:
            if self._reply.state is not ReplyState.DONE:  # it broke off, or its caller left
                self._meter.settle(ended=False)

    async def _relay(self, error_of: Callable[[UpstreamError], OmniError]) -> None:
        try:
            if self._wanted.is_stream or self._reply.says_events:
                await self._relay_parts()
            else:
                self._reply.feed(await self._response.read())
                await look_into(self._reply.held, self._reply.end)
        except UpstreamError as error:
            await self._send(self._reply.lost(error_of(error)))
        if not self._wanted.is_stream:
            self._answers()
            if cost := self._reply.cost:
                self._exchange.reply_headers.append((HEADER, cost.encode()))
            await send_whole(self._exchange, self._response.status, JSON_HEADERS, self._reply.content)

    async def _relay_parts(self) -> None:
        async for data in self._response.chunks(self._take):
            await self._send(self._reply.feed(data))
            if self._reply.state is ReplyState.DONE:
                return
        await self._send(await look_into(self._reply.held, self._reply.end))

    def _take(self, data: bytes) -> bool:
        """Passes on what is nothing but parts of the answer, the moment it arrives."""
        if not self._reply.is_plain(data) or not self._exchange.takes_now(data):
            return False
        if self._keep_alive:
            self._keep_alive.heard()
        self._exchange.write_now(self._reply.feed_plain(data).passed, more=True)
        return True

    async def _send(self, part: Part) -> None:
        exchange, is_done = self._exchange, self._reply.state is ReplyState.DONE
        if not self._wanted.is_stream or not (part.passed or is_done):
            return
        if not self._has_passed:
            self._has_passed = True
            self._answers()
            telemetry.FIRST_TOKEN.labels(exchange.model).observe(self._now() - exchange.started)
        if not exchange.status:
            await exchange.begin(200, STREAM_HEADERS)
        if self._keep_alive:
            self._keep_alive.heard()
        await exchange.write(part.passed, more=not is_done, recorded=part.kept)
