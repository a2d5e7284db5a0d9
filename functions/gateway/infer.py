"""Answers an inference request from the model's upstreams: from another one, or at another try, where that is safe."""

import asyncio
import re
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from functions.gateway.admit import Admit
from functions.gateway.attempt import Attempt, Call, TryAgain, TryElsewhere, failure_of
from functions.gateway.charge import Charge
from functions.gateway.exchange import Exchange
from functions.gateway.keep_alive import KeepAlive
from functions.gateway.shared_calls import UpstreamCalls
from functions.gateway.spending import Spending
from functions.gateway.upstream_health import BodyDigest, UpstreamHealth
from shared import telemetry
from shared.catalogue import Catalogue
from shared.core.breaker import Breaker
from shared.core.errors import OmniError, Unavailable
from shared.core.keys import Caller
from shared.core.retries import MOST_RETRIES, RetryBudget, delay_s
from shared.core.routing import Model, UpstreamTarget, attempt_order
from shared.manifest import Route
from shared.ports.clock import Clock
from shared.settings import Settings
from shared.surfaces.input_size import measure
from shared.surfaces.parameters import restricted
from shared.surfaces.registry import SURFACES
from shared.surfaces.request import InferenceRequest
from shared.web.asgi import look_into

MOST_PAUSE_S = 2.0
"""An upstream that wants to be left alone for longer is not asked again by the same request."""
REMOVED = b"x-omni-parameters-removed"
"""Names the fields of the request that were not sent on."""
MOST_NAMES = 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Infer:
    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        admit: Admit,
        spending: Spending,
        attempt: Attempt,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._admit = admit
        self._spending = spending
        self._attempt = attempt
        self._now = clock.monotonic
        self._random = random
        self._calls = UpstreamCalls(settings)
        self._retries = RetryBudget()
        self._health = UpstreamHealth(clock.monotonic)
        for model in catalogue.models:
            for url in {target.url for target in model.upstreams}:
                telemetry.UPSTREAM_STATE.labels(model.id, url).set_function(partial(self._state, model, url))

    async def __call__(
        self, exchange: Exchange, route: Route, caller: Caller, asked: InferenceRequest, content: bytes
    ) -> None:
        model = self._catalogue.of_kind(asked.model, SURFACES[route.name].kind, caller.models)
        exchange.model = model.id
        digest = BodyDigest(route.name, content)
        await self._health.refuse_repeated(digest)
        size = await look_into(content, measure, asked, len(content), model)
        await self._admit.to_model(exchange, model, asked, size)
        content = await self._restricted(exchange, caller, model, content)
        self._retries.earn()
        charge = exchange.charge = Charge(exchange, model, asked, self._settings.max_output_tokens, self._now)
        await charge.reserve(self._spending, caller, size, route.timeout_s)
        keep_alive = KeepAlive(exchange, self._settings.keep_alive_s) if asked.stream else None
        with charge, keep_alive or nullcontext():
            await self._answer(Call(exchange, route, caller, model, asked, content, digest, keep_alive, charge))

    async def _restricted(self, exchange: Exchange, caller: Caller, model: Model, content: bytes) -> bytes:
        """What is sent on; the caller's own bytes where nothing has to hold, or where our worker sees to it."""
        if model.is_own:
            return content
        has_budget = bool(model.price and not model.price.is_free and self._spending.applying_to(caller))
        has_limit = exchange.ticket is not None and any(quota.tokens for quota in exchange.ticket.quotas)
        if not has_budget and not has_limit:
            return content
        found = await look_into(content, restricted, content, model.parameters, has_budget=has_budget)
        if found.removed:
            names = [name for name in found.removed[:MOST_NAMES] if PLAIN_NAME.fullmatch(name)]
            exchange.reply_headers.append((REMOVED, ", ".join(names).encode() or b"(other)"))
        return found.body

    async def _answer(self, call: Call) -> None:
        for retry in range(1, MOST_RETRIES + 1):
            try:
                return await self._try_each_upstream(call)
            except TryAgain as failure:
                pause_s = failure.error.retry_after_s or 0.0
                if not failure.may_repeat or pause_s > MOST_PAUSE_S or not self._retries.spend():
                    raise failure.error from failure
            await asyncio.sleep(max(pause_s, delay_s(retry, self._random())))
        try:
            await self._try_each_upstream(call)
        except TryAgain as failure:
            raise failure.error from failure

    async def _try_each_upstream(self, call: Call) -> None:
        failures: list[TryAgain] = []
        for target in attempt_order(call.model.upstreams, self._random):
            breaker = self._health.breaker(target)
            if not breaker.admits(self._now()):
                failures.append(TryElsewhere(_left_alone(call.model, breaker.pause_left_s(self._now()))))
                continue
            try:
                return await self._guarded(call, target, breaker)
            except TryAgain as failure:
                if self._health.is_refused(call.digest):
                    raise failure.error from failure
                failures.append(failure)
        raise max(reversed(failures), key=_tells_most)

    async def _guarded(self, call: Call, target: UpstreamTarget, breaker: Breaker) -> None:
        """One attempt, from which the upstream's health is learnt."""
        try:
            async with self._calls.hold(call.caller, target, call.route.timeout_s):
                await self._attempt(call, target, breaker.record_success)
        except TryElsewhere:
            breaker.forget_probe()
            raise
        except (TryAgain, OmniError) as error:
            await self._health.failed(target, call.caller.tenant, call.digest, failure_of(error))
            raise
        except BaseException:  # its caller left
            breaker.forget_probe()
            raise
        self._health.answered(breaker, call.digest)

    def _state(self, model: Model, url: str) -> float:
        """Of the breakers for one address, asked for when the metrics are read: an open one closes by time alone."""
        targets = (target for target in model.upstreams if target.url == url)
        return max(self._health.breaker(target).state(self._now()) for target in targets)


def _tells_most(failure: TryAgain) -> bool:
    """What an upstream said goes before that another one was not asked."""
    return not isinstance(failure, TryElsewhere)


def _left_alone(model: Model, pause_s: float) -> OmniError:
    return Unavailable(
        f"The servers for the model '{model.id}' keep failing and are left alone for a moment.",
        code="upstream_unavailable",
        retry_after_s=pause_s,
    )
