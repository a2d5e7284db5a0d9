"""One request to one upstream, and what its failure means."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from functions.gateway import body
from functions.gateway.charge import HEADER, Charge, comment
from functions.gateway.completion import NO_ANSWER, from_whole, to_stream
from functions.gateway.exchange import Exchange
from functions.gateway.keep_alive import KeepAlive
from functions.gateway.relay import is_stream, note_whole, relay_stream, send_whole, settle_usage
from functions.gateway.signer import CallerSigner
from functions.gateway.upstream_errors import from_answer, read_refusal
from functions.gateway.upstream_health import BodyDigest, Failure
from shared import telemetry
from shared.core.errors import NotInstalled, OmniError, RateLimited, Unavailable, UpstreamFailed, UpstreamTimeout
from shared.core.keys import Caller
from shared.core.routing import Model, UpstreamTarget
from shared.manifest import Route
from shared.ports.clock import Clock
from shared.ports.secrets import Secrets
from shared.ports.upstream import (
    AnswerTooLarge,
    BrokenOff,
    ConnectFailed,
    OutgoingRequest,
    Response,
    TimedOut,
    Upstream,
)
from shared.settings import Settings
from shared.surfaces.registry import SURFACES
from shared.surfaces.request import InferenceRequest
from shared.surfaces.tally import AnswerTally
from shared.web.asgi import look_into
from shared.web.door import INTERNAL_PREFIX

BUSY = frozenset({429, 503})
"""Statuses after which another try is safe; ..."""
MODEL_DID_NOT_RUN = BUSY | {502}
"""... of an outside server one more: its proxy reached no server. A worker's means that its engine failed."""
MODEL_LOADING = "model_loading"
"""What the worker says while its model is not there yet."""


class Call(NamedTuple):
    """One inference request, and all that is known of it."""

    exchange: Exchange
    route: Route
    caller: Caller
    model: Model
    asked: InferenceRequest
    content: bytes
    digest: BodyDigest
    keep_alive: KeepAlive | None
    charge: Charge


class TryAgain(Exception):
    """The model did not run: the same request may be sent again, here or elsewhere."""

    def __init__(self, error: OmniError) -> None:
        super().__init__(error.message)
        error.nothing_was_done = True
        self.error = error
        """What the caller is told if there is no other try."""


class Unreachable(TryAgain):
    """No connection was made."""


class TryElsewhere(TryAgain):
    """Nothing was sent, for a reason of our own: another upstream may be asked, and this one is not to blame."""


def failure_of(error: TryAgain | OmniError) -> Failure:
    """What an attempt that ended so says of its upstream."""
    if isinstance(error, Unreachable):
        return Failure.UNREACHABLE
    if isinstance(error, TryAgain):
        return _failure_before_the_model(error.error)
    return Failure.FAILED if error.status >= 500 and error.status != NotInstalled.status else Failure.NONE


def _failure_before_the_model(error: OmniError) -> Failure:
    if error.status == RateLimited.status or error.code == MODEL_LOADING:
        return Failure.NONE  # it is busy, or has a model to load: it is well, and answers
    return Failure.OVERLOADED if error.status == Unavailable.status else Failure.BAD_GATEWAY


@dataclass(frozen=True, slots=True)
class Attempt:
    settings: Settings
    upstream: Upstream
    secrets: Secrets
    signer: CallerSigner
    clock: Clock

    async def __call__(self, call: Call, target: UpstreamTarget, answers: Callable[[], None]) -> None:
        """Answers the caller from `target`. Raises TryAgain, or the error that ends it.

        `answers` is called once the upstream has begun to answer: how long the caller then takes is not its doing.
        """
        try:
            request = await self._prepared(call, target)
            call.exchange.sent_at = self.clock.monotonic()
            call.exchange.tally = AnswerTally(is_own=target.is_worker)
            async with self.upstream.send(request) as response:
                if response.status < 400:
                    answers()
                await self._relay(call, target, response)
        except ConnectFailed as error:
            self._count(call, "connect")
            raise Unreachable(_unreachable(call.model, error)) from error
        except TimedOut as error:
            self._count(call, "timeout")
            raise UpstreamTimeout(detail=str(error)) from error
        except AnswerTooLarge as error:
            self._count(call, "too_large")
            raise UpstreamFailed(
                f"The model's server sent an answer of {error}.", code="upstream_answer_too_large"
            ) from error
        except BrokenOff as error:
            self._count(call, "broken_off")
            raise UpstreamFailed("The model's server broke off.", detail=str(error)) from error

    async def _relay(self, call: Call, target: UpstreamTarget, response: Response) -> None:
        exchange = call.exchange
        if not 200 <= response.status < 300:
            content, retry_after = await read_refusal(response), response.header(b"retry-after")
            field = SURFACES[call.route.name].prompt_field
            error = from_answer(response.status, content, retry_after, trusted=target.is_worker, prompt_field=field)
            self._count(call, MODEL_LOADING if error.code == MODEL_LOADING else str(response.status))
            did_not_run = response.status in (BUSY if target.is_worker else MODEL_DID_NOT_RUN)
            raise TryAgain(error) if did_not_run else error
        if is_stream(response):
            await self._relay_stream(call, response)
            return
        content = await response.read()
        if call.keep_alive:
            call.keep_alive.stop()
        await look_into(content, note_whole, exchange, SURFACES[call.route.name], content)
        told = call.charge.note_answer()
        if exchange.status:  # a comment has gone out, so the answer can only be events
            events = await look_into(content, _as_events, content, with_usage=call.asked.wants_usage)
            await exchange.write(comment(told) + events, more=False, recorded=events)
            return
        if told:
            exchange.reply_headers.append((HEADER, told.encode()))
        await send_whole(exchange, response, content)

    async def _relay_stream(self, call: Call, response: Response) -> None:
        ended = False
        try:
            await relay_stream(call.exchange, response, self.clock, call.keep_alive)
            ended = True
        finally:
            if not ended:  # it breaks off, or its caller leaves
                settle_usage(call.exchange, ended=False)

    async def _prepared(self, call: Call, target: UpstreamTarget) -> OutgoingRequest:
        try:
            return await self._request(call, target)
        except Unavailable as error:  # a secret that is not there
            raise TryElsewhere(error) from error

    async def _request(self, call: Call, target: UpstreamTarget) -> OutgoingRequest:
        content, asked = call.content, call.asked
        ask_for_usage = bool(asked.stream) and target.tells_usage_when_asked and not asked.wants_usage
        if target.model != call.model.id or ask_for_usage or body.may_name_two_models(content):
            content = body.changed(content, target.model, ask_for_usage=ask_for_usage)
        headers = [("content-type", "application/json"), ("x-request-id", call.exchange.request_id)]
        if trace := call.exchange.header(b"traceparent"):
            headers.append(("traceparent", trace))
        if target.is_worker:
            url = self.settings.worker_url + INTERNAL_PREFIX + call.route.path
            headers += await self.signer.for_worker(call.caller, call.route.path, url)
        else:
            url = target.url + call.route.path.removeprefix("/v1")
            headers += await self._credentials(target)
        return OutgoingRequest("POST", url, headers, content, call.route.timeout_s)

    async def _credentials(self, target: UpstreamTarget) -> list[tuple[str, str]]:
        if not (name := target.api_key_secret):
            return []
        secrets = self.secrets
        key = secrets.get(name) if secrets.is_at_hand(name) else await asyncio.to_thread(secrets.get, name)
        if not key:
            raise Unavailable("The key of this model's upstream is not set.", detail=f"secret {name} is missing")
        return [("authorization", f"Bearer {key}")]

    @staticmethod
    def _count(call: Call, reason: str) -> None:
        telemetry.UPSTREAM_FAILURES.labels(call.model.id, reason).inc()


def _as_events(content: bytes, *, with_usage: bool) -> bytes:
    """Some servers answer in one piece what was asked for as a stream."""
    try:
        answer = from_whole(content)
    except NO_ANSWER:
        answer = None
    if answer is None:
        raise UpstreamFailed(detail="the answer is neither a stream nor a completion")
    return to_stream(answer, with_usage=with_usage)


def _unreachable(model: Model, error: ConnectFailed) -> OmniError:
    return Unavailable(
        f"No server for the model '{model.id}' can be reached.",
        code="upstream_unavailable",
        detail=str(error),
        retry_after_s=2,
    )
