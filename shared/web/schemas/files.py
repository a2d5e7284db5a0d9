"""Files and uploads, as OpenAI's clients send and read them."""

from typing import Annotated, Literal

from pydantic import Field

from shared.files.files import MOST_BYTES, RETENTION_S, OutputPurpose, UploadPurpose
from shared.files.uploads import MOST_PARTS
from shared.web.schemas.strict import Open, Strict

FileName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ExpiresAfter(Strict):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=int(RETENTION_S))]
    """From an hour to 30 days."""


class FileTermsForm(Strict):
    purpose: UploadPurpose
    """Batches read those for `batch`; the others are kept."""
    expires_after: ExpiresAfter | None = None
    """When the file is deleted; without it, after 30 days."""


class FileForm(FileTermsForm):
    file: Annotated[str, Field(json_schema_extra={"format": "binary"})]
    """At most 200 MiB."""


class FileView(Open):
    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    """Seconds since 1970, as in every field that ends in `_at`."""
    expires_at: int
    """When the file is deleted."""
    filename: str
    purpose: UploadPurpose | OutputPurpose
    status: Literal["processed"]


class FileList(Open):
    object: Literal["list"]
    data: list[FileView]
    first_id: str | None
    last_id: str | None
    """What to send as `after` for the next page."""
    has_more: bool


class DeletedFile(Open):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


class UploadRequest(FileTermsForm):
    filename: FileName
    bytes: Annotated[int, Field(ge=1, le=MOST_BYTES)]
    """What the parts come to together."""
    mime_type: Annotated[str, Field(min_length=1, max_length=200)]


class PartForm(Strict):
    data: Annotated[str, Field(json_schema_extra={"format": "binary"})]
    """At most 64 MiB."""


class PartView(Open):
    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str


class UploadCompletion(Strict):
    part_ids: Annotated[list[str], Field(min_length=1, max_length=MOST_PARTS)]
    """In the order in which the file is put together."""
    md5: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{32}$")] | None = None
    """Refuses the file when its content has another sum."""


class UploadView(Open):
    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    """It must be completed by then."""
    filename: str
    purpose: UploadPurpose
    status: Literal["pending", "completed", "cancelled"]
    file: FileView | None = None
    """Once it is completed."""
