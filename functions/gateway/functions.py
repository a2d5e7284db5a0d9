"""Calls of route functions, in the name of a caller."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from functions.gateway.exchange import Exchange
from functions.gateway.relay import passed_back
from functions.gateway.shared_calls import RouteCalls
from functions.gateway.signer import CallerSigner
from shared.core.errors import Unavailable, UpstreamFailed, UpstreamTimeout
from shared.core.keys import Caller
from shared.keys.caller_token import Call
from shared.manifest import Route
from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, TimedOut, Upstream
from shared.settings import Settings
from shared.web.door import INTERNAL_PREFIX


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; of its headers those that concern the caller."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")


class Functions:
    def __init__(self, settings: Settings, upstream: Upstream, signer: CallerSigner, calls: RouteCalls) -> None:
        self._settings = settings
        self._calls = calls
        self._upstream = upstream
        self._signer = signer

    async def ask(self, exchange: Exchange, route: Route, caller: Caller, content: bytes) -> Answer:
        """The answer of a route without parameters to a JSON body."""
        url = self._settings.route_url(route.name) + INTERNAL_PREFIX + route.path
        headers = [("content-type", "application/json"), ("x-request-id", exchange.request_id)]
        if trace := exchange.header(b"traceparent"):
            headers.append(("traceparent", trace))
        call = Call(route.name, route.methods[0], route.path)
        headers += await self._signer.for_function(caller, call, url, content)
        request = OutgoingRequest(route.methods[0], url, headers, content, route.timeout_s)
        with failures(route):
            async with self._calls.hold(caller, route), self._upstream.send(request) as response:
                headers_back = [(name.decode(), value.decode()) for name, value in passed_back(response)]
                return Answer(response.status, headers_back, await response.read())


@contextmanager
def failures(route: Route) -> Iterator[None]:
    """What it means for the caller when a function does not answer."""
    try:
        yield
    except TimedOut as error:
        raise UpstreamTimeout(f"'{route.name}' did not answer in time.", detail=str(error)) from error
    except ConnectFailed as error:
        raise Unavailable(f"'{route.name}' cannot be reached.", detail=str(error), retry_after_s=2) from error
    except BrokenOff as error:  # it may have done what was asked
        raise UpstreamFailed(f"'{route.name}' broke off.", detail=str(error)) from error
