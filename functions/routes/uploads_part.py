"""POST /v1/uploads/{id}/parts: a part of a file; parts may come in any order and at the same time."""

from functions.routes.context import Context
from functions.routes.files_create import uploaded
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    upload_id = incoming.params["id"]
    part_id = context.uploads.add_part(incoming.caller.tenant, upload_id, uploaded(incoming, "data").parts())
    now = int(context.ports.clock.now())
    return Reply.json({"id": part_id, "object": "upload.part", "created_at": now, "upload_id": upload_id})
