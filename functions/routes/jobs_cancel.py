"""POST /api/v1/jobs/{id}/cancel: a queued job ends at once, a running one within a heartbeat."""

from functions.routes.context import Context
from shared.jobs.view import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(view(context.jobs.cancel(incoming.caller.tenant, incoming.params["id"])))
