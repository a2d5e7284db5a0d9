"""A batch's states and the transitions between them, with OpenAI's names: values in, values out.

A batch is worked off by jobs, its *steps*: one that plans it, one for each chunk of its lines, one that puts its
files together. What a batch does next follows from its own state and from whether a step of it still lives.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

WINDOW_S = 24 * 3600.0
RETENTION_S = 30 * 24 * 3600.0
MOST_LINES = 50_000
MOST_LINE_BYTES = 1024 * 1024
MOST_ERRORS = 100
"""So many of a file's mistakes are told."""
LEAST_CHUNK, MOST_CHUNK = 100, 500
MOST_CHUNK_BYTES = 8 * 1024 * 1024
"""A chunk this large takes no further line."""
CHUNKS = 100
"""As many as a batch is split into, where that makes chunks of an allowed size."""


class Status(StrEnum):
    """Where a batch is in its life. Completed, failed, expired and cancelled are final."""

    VALIDATING = "validating"
    """Its file is being read; nothing runs yet."""
    FAILED = "failed"
    """Its file has mistakes, or it could not be put together."""
    IN_PROGRESS = "in_progress"
    """Its lines are answered."""
    FINALIZING = "finalizing"
    """Its output and error files are being written."""
    COMPLETED = "completed"
    """Every line has an answer or an error."""
    EXPIRED = "expired"
    """Its window ended before every line was answered; those that were are in its files."""
    CANCELLING = "cancelling"
    """Its owner wants it to stop, or its key was revoked; what still runs is being stopped."""
    CANCELLED = "cancelled"
    """It was stopped; the lines that were answered are in its files."""

    @property
    def is_final(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED)


OPEN = tuple(status for status in Status if not status.is_final)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong with the input file."""

    code: str
    message: str
    line: int | None = None
    """1 for the first; None: the file as a whole."""
    param: str | None = None


KEY_REVOKED = Mistake("key_revoked", "The key that made this batch was revoked.")


@dataclass(frozen=True, slots=True)
class Counts:
    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What answers took."""

    input: int = 0
    cached: int = 0
    output: int = 0
    ms: int = 0
    """Of all answers together, on the model's server."""

    def __add__(self, other: "Tokens") -> "Tokens":
        cached, output = self.cached + other.cached, self.output + other.output
        return Tokens(self.input + other.input, cached, output, self.ms + other.ms)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines in a row of a batch's file."""

    batch_id: str
    uri: str
    """The file's content."""
    route: str
    """The inference route that answers the lines."""
    start: int
    """Byte in the file."""
    length: int
    first_line: int
    """Its number in the file; 1 for the first."""
    lines: int
    """Those that are not blank."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as its document holds it. Times are seconds since 1970."""

    id: str
    tenant: str
    key_id: str
    models: tuple[str, ...] | None
    """What its key may use; None: every model."""
    weight: int
    """Its tenant's, for taking turns."""
    endpoint: str
    input_file_id: str
    created_at: float
    expires_at: float
    """The end of its window."""
    expire_at: float
    """When the document may be deleted."""
    output_lifetime_s: float = RETENTION_S
    metadata: dict[str, str] = field(default_factory=dict)
    trace_id: str = ""
    budgets: tuple[dict[str, Any], ...] = ()
    """Those that its lines count against."""
    tier: str = ""
    """Its key's; empty in documents from before there was one."""
    charge: dict[str, Any] | None = None
    """At what it is charged in the end, and what is reserved for it until then; once it is planned."""
    status: Status = Status.VALIDATING
    model: str = ""
    total: int = 0
    mistakes: tuple[Mistake, ...] = ()
    counts: Counts | None = None
    """Once final."""
    tokens: Tokens | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    in_progress_at: float | None = None
    finalizing_at: float | None = None
    completed_at: float | None = None
    failed_at: float | None = None
    expired_at: float | None = None
    cancelling_at: float | None = None
    cancelled_at: float | None = None


def chunk_size(total: int) -> int:
    """Lines in a chunk of a batch of so many."""
    return min(MOST_CHUNK, max(LEAST_CHUNK, total // CHUNKS))


def start(batch: Batch, now: float) -> Batch:
    """Every step that answers lines is there."""
    if batch.status is not Status.VALIDATING:
        return batch
    return replace(batch, status=Status.IN_PROGRESS, in_progress_at=now)


def fail(batch: Batch, mistakes: tuple[Mistake, ...], now: float) -> Batch:
    if batch.status.is_final:
        return batch
    return replace(batch, status=Status.FAILED, mistakes=mistakes, failed_at=now, expire_at=now + RETENTION_S)


def cancel(batch: Batch, now: float) -> Batch:
    if batch.status not in (Status.VALIDATING, Status.IN_PROGRESS):
        return batch
    return replace(batch, status=Status.CANCELLING, cancelling_at=now)


def revoke(batch: Batch, now: float) -> Batch:
    """As `cancel`, because its key was revoked."""
    cancelled = cancel(batch, now)
    return batch if cancelled is batch else replace(cancelled, mistakes=(KEY_REVOKED,))


def finalize(batch: Batch, now: float) -> Batch:
    """Nothing answers lines any more."""
    if batch.status is not Status.IN_PROGRESS:
        return batch
    return replace(batch, status=Status.FINALIZING, finalizing_at=now)


def finish(
    batch: Batch, counts: Counts, tokens: Tokens, files: tuple[str | None, str | None], unanswered: int, now: float
) -> Batch:
    """The batch with its output and error file; `unanswered` lines never got to run."""
    done = replace(
        batch,
        counts=counts,
        tokens=tokens,
        output_file_id=files[0],
        error_file_id=files[1],
        expire_at=now + RETENTION_S,
    )
    if batch.status is Status.CANCELLING:
        return replace(done, status=Status.CANCELLED, cancelled_at=now)
    if batch.status is not Status.FINALIZING:
        return batch
    if unanswered and now >= batch.expires_at:
        return replace(done, status=Status.EXPIRED, expired_at=now)
    return replace(done, status=Status.COMPLETED, completed_at=now)
