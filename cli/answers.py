"""What the commands read of the platform's answers. Fields that no command shows are left out."""

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

FINAL = frozenset({"succeeded", "failed", "cancelled", "expired"})


class Page(msgspec.Struct, Generic[T]):
    """One page of a list; `next_cursor` asks for the next."""

    data: list[T]
    has_more: bool = False
    next_cursor: str | None = None


class ModelCard(msgspec.Struct):
    id: str
    kinds: list[str] = []
    context: int | None = None
    """Tokens; None when not known."""
    owned_by: str = ""


class Budget(msgspec.Struct):
    daily_usd: float | None = None
    monthly_usd: float | None = None


class QuarantinedDocument(msgspec.Struct):
    id: str
    collection: str
    document: str
    schedule: str
    reason: str
    quarantined_at: float | None = None


class Key(msgspec.Struct):
    id: str
    name: str
    tenant: str
    tier: str
    scopes: list[str]
    requests_per_minute: int
    """0 means no limit."""
    created_at: float
    budget: Budget = msgspec.field(default_factory=Budget)
    revoked_at: float | None = None


class NewKey(Key, kw_only=True):
    key: str
    """The key's text, which no later answer holds."""


class UsageSums(msgspec.Struct):
    requests: int
    failed: int
    answered_from_cache: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    unpriced_requests: int


class UsageGroup(UsageSums, kw_only=True):
    key: str


class StorageUse(msgspec.Struct):
    bytes: int
    limit_bytes: int | None


class UsageReport(msgspec.Struct):
    group: str
    data: list[UsageGroup]
    total: UsageSums
    storage: StorageUse


class Progress(msgspec.Struct):
    fraction: float | None = None
    message: str | None = None


class JobError(msgspec.Struct):
    code: str
    message: str
    retryable: bool = False


class Job(msgspec.Struct):
    id: str
    task: str
    state: str
    created_at: float
    attempt: int
    max_attempts: int
    substate: str | None = None
    progress: Progress | None = None
    result: Any = None
    error: JobError | None = None
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


class JobNews(Job, kw_only=True):
    """A job as its events tell of it."""

    queue_position: int | None = None


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class Message(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    message: Message
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A whole answer of a conversation."""

    choices: list[Choice]
    usage: Usage | None = None


class ChunkChoice(msgspec.Struct):
    delta: Message
    finish_reason: str | None = None


class Problem(msgspec.Struct):
    message: str
    code: str | None = None


class Chunk(msgspec.Struct):
    """One part of a streamed answer, or the error that ends it."""

    choices: list[ChunkChoice] = []
    usage: Usage | None = None
    error: Problem | None = None
    request_id: str = ""


class ErrorBody(msgspec.Struct):
    error: Problem
    request_id: str = ""


class RequestCounts(msgspec.Struct):
    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchMistake(msgspec.Struct):
    code: str | None = None
    message: str | None = None
    line: int | None = None


class BatchMistakes(msgspec.Struct):
    data: list[BatchMistake] = []


class Batch(msgspec.Struct):
    id: str
    status: str
    created_at: float
    request_counts: RequestCounts = msgspec.field(default_factory=RequestCounts)
    errors: BatchMistakes | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def is_final(self) -> bool:
        return self.status in {"completed", "failed", "expired", "cancelled"}


class BatchResponse(msgspec.Struct):
    status_code: int
    body: Completion


class BatchLine(msgspec.Struct):
    """A line of a batch's output."""

    custom_id: str
    response: BatchResponse

    @property
    def text(self) -> str:
        choices = self.response.body.choices
        return (choices[0].message.content if choices else None) or ""


class File(msgspec.Struct):
    id: str
    bytes: int
    filename: str
    purpose: str
    expires_at: float | None = None


class Upload(msgspec.Struct):
    id: str
    file: File | None = None


class Part(msgspec.Struct):
    id: str


class IdPage(msgspec.Struct, Generic[T]):
    """A page of a list whose cursor is the last id on it."""

    data: list[T]
    has_more: bool = False
    last_id: str | None = None


class WebhookSecret(msgspec.Struct):
    id: str
    created_at: float
    expires_at: float | None = None
    secret: str = ""
    """Its text, which no later answer holds."""


class WebhookAttempt(msgspec.Struct):
    at: float
    status: int
    reason: str = ""


class WebhookDelivery(msgspec.Struct):
    id: str
    job_id: str
    event: str
    state: str
    attempts: list[WebhookAttempt] = []
    next_attempt_at: float | None = None
