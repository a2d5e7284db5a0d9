"""POST /schedules/webhooks-sweep: sends the wake-ups of webhooks that a crash kept from the queue."""

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(context.webhooks.sweep())
