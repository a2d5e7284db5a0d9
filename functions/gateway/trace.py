"""One span a request, continued from the caller's trace and handed on to whoever answers. Only when traces are on."""

from typing import TYPE_CHECKING

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Trace:
    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator = TraceContextTextMapPropagator()
        parent = propagator.extract({"traceparent": exchange.header(b"traceparent")})
        with self._tracer.start_as_current_span("request", parent, kind=SpanKind.SERVER) as span:
            carrier: dict[str, str] = {}
            propagator.inject(carrier)
            exchange.headers[b"traceparent"] = carrier["traceparent"].encode()
            try:
                await proceed(exchange)
            finally:
                span.update_name(f"{exchange.method} {exchange.route_name}")
                span.set_attribute("http.response.status_code", exchange.status)
                span.set_attribute("omni.request_id", exchange.request_id)
                if exchange.caller:
                    span.set_attribute("omni.tenant", exchange.caller.tenant)
                if exchange.model:
                    span.set_attribute("gen_ai.request.model", exchange.model)
                    span.set_attribute("gen_ai.usage.input_tokens", exchange.tokens_in)
                    span.set_attribute("gen_ai.usage.output_tokens", exchange.tokens_out)
