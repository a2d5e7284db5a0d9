"""DELETE /v1/files/{id}: deletes a file and its content."""

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    file = context.files.delete(incoming.caller.tenant, incoming.params["id"])
    return Reply.json({"id": file.id, "object": "file", "deleted": True})
