"""Sends an inference request to the model's upstreams: the next one when the first cannot take it."""

from collections.abc import Callable
from dataclasses import dataclass

from functions.gateway import body
from functions.gateway.exchange import Exchange
from functions.gateway.relay import note_usage, relay_stream, relay_whole
from functions.gateway.signer import CallerSigner
from functions.gateway.upstream_errors import from_answer
from shared import telemetry
from shared.catalogue import Catalogue
from shared.core.errors import OmniError, Unavailable, UpstreamFailed, UpstreamTimeout
from shared.core.keys import Caller
from shared.core.routing import UpstreamTarget, attempt_order
from shared.manifest import Route
from shared.ports.clock import Clock
from shared.ports.secrets import Secrets
from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, Response, TimedOut, Upstream
from shared.settings import Settings
from shared.web.door import INTERNAL_PREFIX

WORTH_ANOTHER = frozenset({429, 502, 503})
"""Statuses that say the upstream did not run the model, so that the next one may."""


@dataclass(frozen=True, slots=True)
class Infer:
    settings: Settings
    catalogue: Catalogue
    upstream: Upstream
    secrets: Secrets
    signer: CallerSigner
    clock: Clock
    random: Callable[[], float]

    async def __call__(self, exchange: Exchange, route: Route, caller: Caller, content: bytes) -> None:
        asked = body.inference(content, self.settings.max_json_depth)
        model = self.catalogue.get(asked.model)
        exchange.model = model.id
        targets = attempt_order(model.upstreams, self.random)
        for target in targets[:-1]:
            if await self._attempt(exchange, route, caller, content, target, last=False):
                return
        await self._attempt(exchange, route, caller, content, targets[-1], last=True)

    async def _attempt(
        self, exchange: Exchange, route: Route, caller: Caller, content: bytes, target: UpstreamTarget, *, last: bool
    ) -> bool:
        """Tries one upstream. True when the caller has its answer; False leaves it to the next one."""
        request = self._request(exchange, route, caller, content, target)
        try:
            async with self.upstream.send(request) as response:
                if response.status in WORTH_ANOTHER and not last:
                    telemetry.UPSTREAM_FAILURES.labels(exchange.model, str(response.status)).inc()
                    return False
                await self._relay(exchange, response, target)
                return True
        except ConnectFailed as error:
            telemetry.UPSTREAM_FAILURES.labels(exchange.model, "connect").inc()
            if last:
                raise _unreachable(exchange.model, error) from error
            return False
        except TimedOut as error:
            telemetry.UPSTREAM_FAILURES.labels(exchange.model, "timeout").inc()
            raise UpstreamTimeout(detail=str(error)) from error
        except BrokenOff as error:
            telemetry.UPSTREAM_FAILURES.labels(exchange.model, "broken_off").inc()
            raise UpstreamFailed("The model's server broke off.", detail=str(error)) from error

    async def _relay(self, exchange: Exchange, response: Response, target: UpstreamTarget) -> None:
        if response.status >= 400:
            raise from_answer(
                response.status, await response.read(), response.header("retry-after"), trusted=target.is_worker
            )
        if response.header("content-type").startswith("text/event-stream"):
            await relay_stream(exchange, response, self.clock)
        else:
            note_usage(exchange, await relay_whole(exchange, response))

    def _request(
        self, exchange: Exchange, route: Route, caller: Caller, content: bytes, target: UpstreamTarget
    ) -> OutgoingRequest:
        if target.model != exchange.model:
            content = body.with_model(content, target.model)
        headers = [("content-type", "application/json"), ("x-request-id", exchange.request_id)]
        if trace := exchange.header(b"traceparent"):
            headers.append(("traceparent", trace))
        if target.is_worker:
            url = self.settings.worker_url + INTERNAL_PREFIX + route.path
            headers.append(self.signer.header(caller))
        else:
            url = target.url + route.path.removeprefix("/v1")
            headers += self._credentials(target)
        return OutgoingRequest("POST", url, headers, content, route.timeout_s)

    def _credentials(self, target: UpstreamTarget) -> list[tuple[str, str]]:
        if not target.api_key_secret:
            return []
        if not (key := self.secrets.get(target.api_key_secret)):
            raise Unavailable(
                "The key of this model's upstream is not set.", detail=f"secret {target.api_key_secret} is missing"
            )
        return [("authorization", f"Bearer {key}")]


def _unreachable(model: str, error: ConnectFailed) -> OmniError:
    return Unavailable(
        f"No server for the model '{model}' can be reached.",
        code="upstream_unavailable",
        detail=str(error),
        retry_after_s=2,
    )
