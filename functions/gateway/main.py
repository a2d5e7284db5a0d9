"""The gateway's entry: an ASGI application that the Functions Framework serves.

The framework calls a function with a request and sends the response it gives. A response is itself an ASGI
application, so the function gives back the whole gateway, which then deals with the raw connection. With the first
request the gateway also takes the place of the framework's own middleware, which would cost more than the gateway
itself and answer some requests in another shape (docs/adr/0002).
"""

import sys
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from functions.gateway import pipeline
from functions.gateway.exchange import Exchange
from shared import reporting, telemetry
from shared.keys.caller_keys import PRIVATE
from shared.readiness import Remembered, Services, limits, secret_source, secrets_check
from shared.settings import Settings
from shared.web.asgi import Message, Receive, Send
from shared.web.http1 import ConnectionBounds, serve_functions
from shared.web.keep_alive import keep_connections
from shared.web.system import SystemPages
from shared.wiring import Ports

Gateway = Callable[[Message, Receive, Send], Awaitable[None]]

SWITCH_S = 0.001
"""A thread that looks into a large body lets the event loop go on after so long, in place of Python's 5 ms."""


def entry() -> Callable[[Request], Awaitable[Gateway]]:
    settings = Settings.load()
    telemetry.start_logging("gateway", settings.log_level)
    reporting.start_errors(settings, "gateway")
    reporting.start_metrics(settings, "gateway", forks=True)
    application = build(settings, Ports(settings))
    sys.setswitchinterval(SWITCH_S)
    serve_functions(ConnectionBounds.of(settings))
    keep_connections()

    async def gateway(request: Request) -> Gateway:
        request.app.middleware_stack = application
        return application

    return gateway


def build(settings: Settings, ports: Ports) -> Gateway:
    """The gateway as an ASGI application."""
    handle = pipeline.build(settings, ports, SystemPages("gateway", _readiness(ports)))
    now = ports.clock.monotonic

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await handle(Exchange(scope, receive, send, now()))
        else:  # a WebSocket; lifespan events reach the framework before the first request
            await send({"type": "websocket.close", "code": 1000})

    return application


def _readiness(ports: Ports) -> Callable[[], Services]:
    """The store is optional: keys that are known, and those from the environment, are served without it."""
    secrets = Remembered(secrets_check(ports.secrets, PRIVATE), ports.clock)
    store = Remembered(ports.store.ping, ports.clock)
    return lambda: Services(
        {"secrets": secrets()},
        {"store": store(), "limits": limits(ports.limiter), "secret_source": secret_source(ports.secrets)},
    )
