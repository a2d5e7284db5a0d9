"""One JSON line a request; a slow one is a warning. Neither keys nor bodies are ever written."""

import logging
from typing import Any

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Stage
from shared.core.errors import RateLimited
from shared.observability.line_buffer import LineBuffer
from shared.ports.clock import Clock
from shared.telemetry import RequestLog
from shared.web.asgi import CLIENT_CLOSED_REQUEST

TRACE = "logging.googleapis.com/trace"
"""By this name Cloud Logging finds the lines of a trace."""


class LogRequests(Stage):
    def __init__(self, clock: Clock, slow_s: float, project: str = "") -> None:
        """`project`: whose Cloud Logging shows the lines of a trace with it."""
        self._now = clock.monotonic
        self._slow_s = slow_s
        self._lines = LineBuffer()
        self._log = RequestLog("gateway", self._lines.append)
        self._traces = f"projects/{project}/traces/" if project else ""

    def enter(self, exchange: Exchange) -> None:  # noqa: ARG002
        self._lines.begin()

    def leave(self, exchange: Exchange) -> None:
        self._write(exchange, self._now() - exchange.started)
        self._lines.end()

    def _write(self, exchange: Exchange, elapsed_s: float) -> None:
        if elapsed_s > self._slow_s:
            self._log.write(logging.WARNING, "slow request", self._fields(exchange, elapsed_s))
        else:
            # A flood of guesses is counted by the metrics; it need not flood the log too.
            is_flood = exchange.status == RateLimited.status and exchange.caller is None
            level = logging.DEBUG if is_flood else logging.INFO
            self._log.write(level, "request", self._fields(exchange, elapsed_s))

    def _fields(self, exchange: Exchange, elapsed_s: float) -> dict[str, Any]:
        fields = _fields(exchange, elapsed_s)
        if trace := exchange.header(b"traceparent"):
            fields[TRACE] = self._traces + trace.split("-")[1]
        return fields


def _fields(exchange: Exchange, elapsed_s: float) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "request_id": exchange.request_id,
        "method": exchange.method,
        "route": exchange.route_name,
        "status": exchange.status or CLIENT_CLOSED_REQUEST,
        "ms": round(elapsed_s * 1000, 2),
    }
    if exchange.caller:
        fields |= {"tenant": exchange.caller.tenant, "key_id": exchange.caller.key_id}
    if exchange.answered_from:
        fields["answered_from"] = exchange.answered_from
    if exchange.model:
        fields |= {"model": exchange.model, "tokens_in": exchange.tokens_in, "tokens_out": exchange.tokens_out}
    if exchange.usage_is_estimated:
        fields["tokens_are_estimated"] = True
    return fields
