"""Outermost: counts and times every request, also those that fail or whose caller leaves."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Stage
from shared import telemetry
from shared.ports.clock import Clock
from shared.web.asgi import CLIENT_CLOSED_REQUEST


class Measure(Stage):
    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic

    def leave(self, exchange: Exchange) -> None:
        status, route = str(exchange.status or CLIENT_CLOSED_REQUEST), exchange.route_name
        telemetry.REQUESTS.labels(route, exchange.method, status).inc()
        telemetry.LATENCY.labels(route, exchange.model).observe(self._now() - exchange.started)
        if exchange.sent_at:
            telemetry.OVERHEAD.labels(route).observe(exchange.sent_at - exchange.started)
