"""POST /v1/uploads/{id}/complete: makes the file of its parts."""

from functions.routes.context import Context
from functions.routes.uploads_create import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.files import UploadCompletion
from shared.web.validation import parse


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(UploadCompletion, incoming.body, context.settings.max_json_depth)
    tenant, upload_id = incoming.caller.tenant, incoming.params["id"]
    upload, file = context.uploads.complete(tenant, upload_id, wanted.part_ids, wanted.md5)
    return Reply.json(view(upload, file))
