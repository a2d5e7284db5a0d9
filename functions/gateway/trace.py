"""One span a request, continued from the caller's trace and handed on to whoever answers. Only when traces are on."""

from typing import TYPE_CHECKING

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Stage

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Trace(Stage):
    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    def enter(self, exchange: Exchange) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator = TraceContextTextMapPropagator()
        parent = propagator.extract({"traceparent": exchange.header(b"traceparent")})
        exchange.span = self._tracer.start_span("request", parent, kind=SpanKind.SERVER)
        carrier: dict[str, str] = {}
        propagator.inject(carrier, set_span_in_context(exchange.span, parent))
        exchange.headers[b"traceparent"] = carrier["traceparent"].encode()

    def leave(self, exchange: Exchange) -> None:
        if (span := exchange.span) is None:
            return
        span.update_name(f"{exchange.method} {exchange.route_name}")
        span.set_attribute("http.response.status_code", exchange.status)
        span.set_attribute("omni.request_id", exchange.request_id)
        if exchange.caller:
            span.set_attribute("omni.tenant", exchange.caller.tenant)
        if exchange.model:
            span.set_attribute("gen_ai.request.model", exchange.model)
            span.set_attribute("gen_ai.usage.input_tokens", exchange.tokens_in)
            span.set_attribute("gen_ai.usage.output_tokens", exchange.tokens_out)
        span.end()
