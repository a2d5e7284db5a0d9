"""Turns every error of the inner stages into an answer in the one shape."""

import logging

from functions.gateway.exchange import Exchange
from functions.gateway.relay import CutOff
from functions.gateway.stage import Stage
from shared.core import problem
from shared.core.errors import OmniError
from shared.web.asgi import CallerLeft
from shared.web.reply import Reply

log = logging.getLogger("omni.gateway")


class AnswerErrors(Stage):
    def leave(self, exchange: Exchange) -> None:
        error = exchange.error
        if error is None or isinstance(error, CallerLeft):
            return
        fields = {"request_id": exchange.request_id}
        if isinstance(error, OmniError):
            if error.status >= 500:
                log.error(error.message, extra={"fields": {**fields, "detail": error.detail}})
            _answer(exchange, error)
        elif isinstance(error, CutOff):
            log.error("an answer broke off", extra={"fields": {**fields, "detail": str(error)}})
        else:  # The edge: whatever is left becomes a 500 in the one shape, and its story goes to the log.
            log.error("unexpected error", exc_info=error, extra={"fields": fields})
            _answer(exchange, OmniError())


def _answer(exchange: Exchange, error: OmniError) -> None:
    """A whole answer, or once a stream has begun, its last event: a stream never ends silently."""
    if not exchange.status:
        exchange.reply_now(Reply.problem(error, exchange.request_id))
    elif not exchange.is_answered:
        exchange.write_now(b"data: " + problem.body(error, exchange.request_id) + b"\n\n", more=False)
