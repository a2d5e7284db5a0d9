"""POST /v1/uploads: begins a file that comes in parts."""

from functions.routes.context import Context
from functions.routes.files_create import lifetime_s
from functions.routes.files_get import view as file_view
from shared.files.files import FileTerms, StoredFile
from shared.files.uploads import Upload
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.files import UploadRequest
from shared.web.validation import parse


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(UploadRequest, incoming.body, context.settings.max_json_depth)
    caller = incoming.caller
    terms = FileTerms(caller.tenant, caller.key_id, wanted.purpose, wanted.filename, lifetime_s(wanted))
    return Reply.json(view(context.uploads.create(terms, wanted.bytes)))


def view(upload: Upload, file: StoredFile | None = None) -> dict[str, object]:
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.bytes,
        "created_at": int(upload.created_at),
        "expires_at": int(upload.purge_at),
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": file_view(file) if file else None,
    }
