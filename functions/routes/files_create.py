"""POST /v1/files: takes a file in, part by part."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from functions.routes.context import Context
from functions.routes.files_get import view
from shared.core.errors import InvalidRequest
from shared.files.files import RETENTION_S, FileTerms
from shared.web.incoming import Incoming, UploadedFile
from shared.web.reply import Reply
from shared.web.schemas.files import FileTermsForm
from shared.web.validation import parse

NESTED = re.compile(r"(\w{1,64})\[(\w{1,64})\]")
NOT_A_NAME = re.compile(r"[\x00-\x1f\x7f]")


def handle(incoming: Incoming, context: Context) -> Reply:
    given = uploaded(incoming, "file")
    wanted = parse(FileTermsForm, msgspec.json.encode(_fields(incoming.form)), context.settings.max_json_depth)
    name = NOT_A_NAME.sub("", given.filename)[-255:] or "upload"
    terms = FileTerms(incoming.caller.tenant, incoming.caller.key_id, wanted.purpose, name, lifetime_s(wanted))
    return Reply.json(view(context.files.create(terms, given.parts(), given.size)))


def lifetime_s(wanted: FileTermsForm) -> float:
    return wanted.expires_after.seconds if wanted.expires_after else RETENTION_S


def uploaded(incoming: Incoming, name: str) -> UploadedFile:
    """The form's file of that name; InvalidRequest when there is none."""
    if incoming.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise InvalidRequest("The body should be multipart/form-data.", code="invalid_content_type")
    if name in incoming.files:
        return incoming.files[name]
    raise InvalidRequest(f"'{name}' is required, as a file in the form.", param=name, code="missing_field")


def _fields(form: Mapping[str, str]) -> dict[str, Any]:
    """The form's fields as JSON would have them: `expires_after[seconds]` inside `expires_after`, digits as numbers."""
    fields: dict[str, Any] = {}
    for name, text in form.items():
        value = int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else text
        if found := NESTED.fullmatch(name):
            inside = fields.setdefault(found[1], {})
            if isinstance(inside, dict):
                inside[found[2]] = value
        else:
            fields[name] = value
    return fields
