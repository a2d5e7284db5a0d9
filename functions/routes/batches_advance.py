"""POST /schedules/batches-advance: does for batches what a crash kept from being done, and ends those out of time."""

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(context.batches.sweep())
