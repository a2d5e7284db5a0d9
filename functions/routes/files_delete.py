"""DELETE /v1/files/{id}: deletes a file and its content."""

from functions.routes.context import Context
from shared.core.errors import Conflict
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    tenant, file_id = incoming.caller.tenant, incoming.params["id"]
    if context.batches.records.reads(context.files.get(tenant, file_id).id):
        raise Conflict("A batch is reading this file; cancel it first, or wait for its end.", code="file_in_use")
    file = context.files.delete(tenant, file_id)
    return Reply.json({"id": file.id, "object": "file", "deleted": True})
