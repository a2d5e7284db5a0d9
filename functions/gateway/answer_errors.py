"""Turns every error of the inner stages into an answer in the one shape."""

import logging

from functions.gateway.exchange import Exchange
from functions.gateway.relay import CutOff
from functions.gateway.stage import Handler
from shared.core import problem
from shared.core.errors import OmniError
from shared.web.asgi import CallerLeft
from shared.web.reply import Reply

log = logging.getLogger("omni.gateway")


async def answer_errors(exchange: Exchange, proceed: Handler) -> None:
    try:
        await proceed(exchange)
    except OmniError as error:
        if error.status >= 500:
            log.error(error.message, extra={"fields": {"request_id": exchange.request_id, "detail": error.detail}})
        await _answer(exchange, error)
    except CallerLeft:
        return
    except CutOff as error:
        log.error("an answer broke off", extra={"fields": {"request_id": exchange.request_id, "detail": str(error)}})
    except Exception:  # The edge: whatever is left becomes a 500 in the one shape, and its story goes to the log.
        log.exception("unexpected error", extra={"fields": {"request_id": exchange.request_id}})
        await _answer(exchange, OmniError())


async def _answer(exchange: Exchange, error: OmniError) -> None:
    """A whole answer, or once a stream has begun, its last event: a stream never ends silently."""
    if not exchange.status:
        await exchange.reply(Reply.problem(error, exchange.request_id))
    else:
        await exchange.write(b"data: " + problem.body(error, exchange.request_id) + b"\n\n", more=False)
