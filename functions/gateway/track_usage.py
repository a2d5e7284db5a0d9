"""Counts what each tenant used, by model and route."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared import telemetry
from shared.telemetry import series


async def track_usage(exchange: Exchange, proceed: Handler) -> None:
    try:
        await proceed(exchange)
    finally:
        if caller := exchange.caller:
            series(telemetry.TENANT_REQUESTS, caller.tenant, exchange.model, exchange.route_name).inc()
            if exchange.tokens_in or exchange.tokens_out:
                series(telemetry.TOKENS, caller.tenant, exchange.model, "input").inc(exchange.tokens_in)
                series(telemetry.TOKENS, caller.tenant, exchange.model, "output").inc(exchange.tokens_out)
