"""One request to one upstream, and what its failure means."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from functions.gateway import body
from functions.gateway.charge import Charge
from functions.gateway.exchange import Exchange
from functions.gateway.inference.reply_machine import Wanted
from functions.gateway.inference.response_relay import NoAnswer, ResponseRelay
from functions.gateway.keep_alive import KeepAlive
from functions.gateway.signer import CallerSigner
from functions.gateway.upstream_errors import OUR_ACCOUNT, from_answer, read_refusal, wait_s
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
    ConnectFailed,
    OutgoingRequest,
    Response,
    TimedOut,
    Upstream,
    UpstreamError,
)
from shared.settings import Settings
from shared.surfaces.registry import SURFACES
from shared.surfaces.request import InferenceRequest
from shared.surfaces.tally import AnswerTally
from shared.web.door import INTERNAL_PREFIX

log = logging.getLogger("omni.gateway")

BUSY = frozenset({429, 503})
"""Statuses after which another try is safe; ..."""
MODEL_DID_NOT_RUN = BUSY | {502, *range(520, 531)}
"""... of an outside server also those with which a proxy says that it reached none (502, Cloudflare's 52x and 530),
and 529 for overloaded. A worker's 502 means that its engine failed."""
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

    may_repeat = True

    def __init__(self, error: OmniError) -> None:
        super().__init__(error.message)
        error.nothing_was_done = True
        self.error = error
        """What the caller is told if there is no other try."""


class TryAnother(TryAgain):
    """The upstream gave no answer, or refuses us: another one may be asked, but not this one again."""

    may_repeat = False

    def __init__(self, error: OmniError, *, is_admitted: bool = False) -> None:
        super().__init__(error)
        self.is_admitted = is_admitted
        """Whether it says itself that it failed, not that the request is to blame."""


class Unreachable(TryAgain):
    """No connection was made."""


class TryElsewhere(TryAgain):
    """Nothing was sent, for a reason of our own: another upstream may be asked, and this one is not to blame."""

    may_repeat = False


def failure_of(error: TryAgain | OmniError) -> Failure:
    """What an attempt that ended so says of its upstream."""
    if isinstance(error, Unreachable):
        return Failure.UNREACHABLE
    if isinstance(error, TryAnother):
        return Failure.ADMITTED if error.is_admitted else Failure.OVERLOADED
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
                if not 200 <= response.status < 300:
                    raise await self._refused(call, target, response)
                await self._relay(call, target, response, answers)
        except ConnectFailed as error:
            self._count(call, "connect")
            raise Unreachable(_unreachable(call.model, error)) from error
        except UpstreamError as error:
            raise self._broken(call, error) from error

    async def _refused(self, call: Call, target: UpstreamTarget, response: Response) -> Exception:
        """What an answer with another status than 2xx says."""
        status, content = response.status, await read_refusal(response)
        pause_s = wait_s(response.header(b"retry-after"), response.header(b"retry-after-ms"), self.clock.now())
        field = SURFACES[call.route.name].prompt_field
        error = from_answer(status, content, pause_s, trusted=target.is_worker, prompt_field=field)
        self._count(call, MODEL_LOADING if error.code == MODEL_LOADING else str(status))
        if not target.is_worker and status in OUR_ACCOUNT:
            fields = {"model": call.model.id, "upstream": target.url, "status": status, "detail": error.detail}
            log.error("an upstream refuses the platform's account or model", extra={"fields": fields})
            return TryAnother(error)
        did_not_run = status in (BUSY if target.is_worker else MODEL_DID_NOT_RUN)
        return TryAgain(error) if did_not_run else error

    async def _relay(self, call: Call, target: UpstreamTarget, response: Response, answers: Callable[[], None]) -> None:
        wanted = Wanted(
            SURFACES[call.route.name],
            is_stream=bool(call.asked.stream),
            choices=call.asked.choices,
            is_trusted=target.is_worker,
            most_event_bytes=self.settings.max_event_bytes,
            most_whole_bytes=self.settings.max_answer_bytes,
        )
        relay = ResponseRelay(call.exchange, wanted, response, call.keep_alive, self.clock.monotonic, answers)
        try:
            await relay.run(partial(self._broken, call))
        except NoAnswer as failed:
            self._count(call, "no_answer")
            raise TryAnother(failed.error, is_admitted=failed.is_admitted) from failed

    def _broken(self, call: Call, error: UpstreamError) -> OmniError:
        """What it means for the caller that an exchange broke off."""
        if isinstance(error, TimedOut):
            self._count(call, "timeout")
            return UpstreamTimeout(detail=str(error))
        if isinstance(error, AnswerTooLarge):
            self._count(call, "too_large")
            return UpstreamFailed(f"The model's server sent an answer of {error}.", code="upstream_answer_too_large")
        self._count(call, "broken_off")
        return UpstreamFailed("The model's server broke off.", detail=str(error))

    async def _prepared(self, call: Call, target: UpstreamTarget) -> OutgoingRequest:
        try:
            return await self._request(call, target)
        except Unavailable as error:  # a secret that is not there
            raise TryElsewhere(error) from error

    async def _request(self, call: Call, target: UpstreamTarget) -> OutgoingRequest:
        content, asked = call.content, call.asked
        ask_for_usage = bool(asked.stream) and target.tells_usage_when_asked and not asked.wants_usage
        drop_options = asked.stream_options is not None and not (asked.stream and target.tells_usage_when_asked)
        if target.model != call.model.id or ask_for_usage or drop_options or body.may_name_two_models(content):
            content = body.changed(
                content, target.model, ask_for_usage=ask_for_usage, drop_options=drop_options and not target.is_worker
            )
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


def _unreachable(model: Model, error: ConnectFailed) -> OmniError:
    return Unavailable(
        f"No server for the model '{model.id}' can be reached.",
        code="upstream_unavailable",
        detail=str(error),
        retry_after_s=2,
    )
