"""GET /v1/files/{id}/content: a file's content, sent part by part."""

from itertools import chain
from urllib.parse import quote

from functions.routes.context import Context
from shared.core.errors import NotFound
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    file = context.files.get(incoming.caller.tenant, incoming.params["id"])
    parts = context.files.read(file)
    try:
        first = next(parts, b"")
    except FileNotFoundError:
        raise NotFound(f"There is no file '{file.id}'.", code="file_not_found") from None
    headers = [
        ("content-type", "application/octet-stream"),
        ("content-length", str(file.bytes)),
        ("content-disposition", f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}"),
    ]
    return Reply(200, headers=headers, parts=chain([first], parts))
