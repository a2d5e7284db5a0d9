"""Counts what each tenant used, by model and route."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared import telemetry


async def track_usage(exchange: Exchange, proceed: Handler) -> None:
    try:
        await proceed(exchange)
    finally:
        if caller := exchange.caller:
            telemetry.TENANT_REQUESTS.labels(caller.tenant, exchange.model, exchange.route_name).inc()
            if exchange.tokens_in or exchange.tokens_out:
                telemetry.TOKENS.labels(caller.tenant, exchange.model, "input").inc(exchange.tokens_in)
                telemetry.TOKENS.labels(caller.tenant, exchange.model, "output").inc(exchange.tokens_out)
