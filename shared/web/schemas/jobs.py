"""Jobs as callers order and see them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from shared.web.schemas.strict import Open, Strict

Priority = Literal["low", "normal", "high"]
MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16, fail_fast=True)]


JobEvent = Literal["job.succeeded", "job.failed", "job.cancelled", "job.expired"]


class JobWebhook(Strict):
    url: Annotated[str, Field(min_length=1, max_length=2048)]
    """An https address that the internet can reach."""
    events: Annotated[list[JobEvent], Field(min_length=1, max_length=4)] | None = None
    """Which ends it wants to hear of; null means all."""


class JobRequest(Strict):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task": "chat_completions",
                    "model": "smollm2-135m-instruct",
                    "input": {"messages": [{"role": "user", "content": "What is the sea?"}]},
                    "metadata": {"order": "42"},
                }
            ]
        }
    )

    task: Annotated[str, Field(min_length=1, max_length=100)]
    """The name of an inference route, such as `chat_completions`."""
    input: dict[str, Any]
    """What that route takes as its body, at most 1 MiB; `stream` cannot be asked for."""
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """May stand here instead of in `input`."""
    priority: Priority = "normal"
    metadata: Metadata = Field(default_factory=dict)
    """Up to 16 pairs that lists can be narrowed by; keys of 1 to 64 characters, values of up to 512."""
    timeout_s: Annotated[float, Field(ge=1, le=1500)] | None = None
    """Longest run of one attempt, seconds; null means the longest allowed."""
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often it is tried, the first time included, while the failures are passing ones."""
    webhook: JobWebhook | None = None
    """Where to tell of its end; the tenant needs a webhook secret first."""


class JobWebhookView(Open):
    url: str
    events: list[JobEvent] | None
    """Null for all."""


class JobErrorView(Open):
    code: str
    message: str
    retryable: bool
    """Whether another attempt could help."""
    status: int
    """What a request that is no job would have been answered with."""
    param: str | None
    """The field of the input that is wrong."""


class JobProgress(Open):
    fraction: float
    """0 to 1."""
    message: str


class JobView(Open):
    id: str
    object: Literal["job"]
    task: str
    model: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
    """The last four are final."""
    substate: Literal["pending_dispatch", "dispatched", "waiting_capacity", "retry_wait"] | None
    """Why a queued job waits."""
    priority: Priority
    attempt: int
    """Attempts begun."""
    max_attempts: int
    timeout_s: float
    cancel_requested: bool
    progress: JobProgress | None
    """Null when the task tells none."""
    result: dict[str, Any] | None = None
    """What the route would have answered; lists leave it out."""
    error: JobErrorView | None
    """Why the job ended, or why the last attempt failed."""
    usage: dict[str, Any] | None
    metadata: Metadata
    created_at: float
    """Seconds since 1970, as in every field that ends in `_at`."""
    next_run_at: float
    started_at: float | None
    finished_at: float | None
    deadline_at: float
    """A job that no worker has by then expires."""
    webhook: JobWebhookView | None


class JobList(Open):
    object: Literal["list"]
    data: list[JobView]
    has_more: bool
    next_cursor: str | None
    """What to send as `after` for the next page."""
