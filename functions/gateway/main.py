"""The gateway's entry: a function that the Functions Framework serves, on an HTTP protocol of our own.

The protocol hands each request to the gateway itself. The framework, which would give a function a request and send
the response it gives, only sees one where another server runs it; the response is then an ASGI application, the whole
gateway (docs/adr/0002).
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from functions.gateway import asgi, pipeline
from functions.gateway.exchange import Exchange
from functions.gateway.request_pass import RequestPass
from shared import reporting, telemetry
from shared.keys.caller_keys import PRIVATE
from shared.readiness import Remembered, Services, limits, secret_source, secrets_check
from shared.settings import Settings
from shared.web.asgi import Message, Receive, Send
from shared.web.http1 import Answering, ConnectionBounds, serve_functions
from shared.web.keep_alive import keep_connections
from shared.web.system import SystemPages
from shared.wiring import Ports

SWITCH_S = 0.001
"""A thread that looks into a large body lets the event loop go on after so long, in place of Python's 5 ms."""


def entry() -> Callable[[Request], Awaitable["Gateway"]]:
    settings = Settings.load()
    telemetry.start_logging("gateway", settings.log_level)
    reporting.start_errors(settings, "gateway")
    reporting.start_metrics(settings, "gateway", forks=True)
    gateway = build(settings, Ports(settings))
    sys.setswitchinterval(SWITCH_S)
    serve_functions(ConnectionBounds.of(settings), gateway.handle)
    keep_connections()

    async def function(_: Request) -> Gateway:
        return gateway

    return function


class Gateway:
    def __init__(self, settings: Settings, ports: Ports) -> None:
        self._stages = pipeline.build(settings, ports, SystemPages("gateway", _readiness(ports)))
        self._now = ports.clock.monotonic

    def handle(self, answering: Answering) -> asyncio.Task[None] | None:
        """Answers a request of our protocol's; the task that goes on with it, if a stage has to wait."""
        exchange = Exchange(answering.head, answering.receive, answering, self._now())
        exchange.content = answering.take_body()
        request_pass = RequestPass(self._stages, exchange, asyncio.get_running_loop())
        task = request_pass.run()
        if task:
            answering.on_leave = request_pass.caller_left
        return task

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asgi.run(self._stages, scope, receive, send, self._now)
        else:  # a WebSocket; lifespan events reach the framework before the first request
            await send({"type": "websocket.close", "code": 1000})


def build(settings: Settings, ports: Ports) -> Gateway:
    """The gateway, which is also an ASGI application."""
    return Gateway(settings, ports)


def _readiness(ports: Ports) -> Callable[[], Services]:
    """The store is optional: keys that are known, and those from the environment, are served without it."""
    secrets = Remembered(secrets_check(ports.secrets, PRIVATE), ports.clock)
    store = Remembered(ports.store.ping, ports.clock)
    return lambda: Services(
        {"secrets": secrets()},
        {"store": store(), "limits": limits(ports.limiter), "secret_source": secret_source(ports.secrets)},
    )
