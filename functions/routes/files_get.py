"""GET /v1/files/{id}: what is known of a file of the caller's tenant."""

from typing import Any

from functions.routes.context import Context
from shared.files.files import StoredFile
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(view(context.files.get(incoming.caller.tenant, incoming.params["id"])))


def view(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": int(file.purge_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }
