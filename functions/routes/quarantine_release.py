"""POST /api/v1/quarantine/{id}/release: puts a document back that was set aside."""

from functions.routes.context import Context
from functions.routes.quarantine_list import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(view(context.quarantine.release(incoming.params["id"])))
