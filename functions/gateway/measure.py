"""Outermost: counts and times every request, also those that fail or whose caller leaves."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared import telemetry
from shared.ports.clock import Clock
from shared.web.asgi import CLIENT_CLOSED_REQUEST


class Measure:
    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        try:
            await proceed(exchange)
        finally:
            status = str(exchange.status or CLIENT_CLOSED_REQUEST)
            telemetry.REQUESTS.labels(exchange.route_name, exchange.method, status).inc()
            telemetry.LATENCY.labels(exchange.route_name, exchange.model).observe(self._now() - exchange.started)
            if exchange.sent_at:
                telemetry.OVERHEAD.labels(exchange.route_name).observe(exchange.sent_at - exchange.started)
