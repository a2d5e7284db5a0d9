"""POST /v1/uploads/{id}/cancel: gives up a file that was coming in parts."""

from functions.routes.context import Context
from functions.routes.uploads_create import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(view(context.uploads.cancel(incoming.caller.tenant, incoming.params["id"])))
