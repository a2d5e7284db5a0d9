"""Batches, as OpenAI's clients order and read them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from shared.web.schemas.files import ExpiresAfter
from shared.web.schemas.jobs import Metadata
from shared.web.schemas.strict import Open, Strict


class BatchRequest(Strict):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "input_file_id": "file-0123456789abcdef01234567",
                    "endpoint": "/v1/chat/completions",
                    "completion_window": "24h",
                }
            ]
        }
    )

    input_file_id: Annotated[str, Field(min_length=1, max_length=100)]
    """A file of the purpose `batch`: JSON Lines, each with `custom_id`, `method`, `url` and `body`; at most 50,000."""
    endpoint: Annotated[str, Field(min_length=1, max_length=100)]
    """Where all lines go, such as `/v1/chat/completions`."""
    completion_window: Literal["24h"]
    """What is not answered by then is not answered."""
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None
    """When the output and error file are deleted; without it, after 30 days."""


class BatchMistake(Open):
    code: str
    message: str
    line: int | None
    """1 for the first line of the file."""
    param: str | None


class BatchMistakes(Open):
    object: Literal["list"]
    data: list[BatchMistake]
    """The first hundred."""


class RequestCounts(Open):
    total: int
    completed: int
    failed: int


class BatchView(Open):
    id: str
    object: Literal["batch"]
    endpoint: str
    model: str | None
    """The one that all lines ask, once they were read."""
    errors: BatchMistakes | None
    """What is wrong with the file of a batch that failed."""
    input_file_id: str
    completion_window: Literal["24h"]
    status: Literal[
        "validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"
    ]
    output_file_id: str | None
    """Answers, a line each, with their `custom_id`."""
    error_file_id: str | None
    """The lines that were refused, or never got to run."""
    created_at: int
    """Seconds since 1970, as in every field that ends in `_at`."""
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: dict[str, Any] | None
    """Once the batch is final."""
    metadata: Metadata


class BatchList(Open):
    object: Literal["list"]
    data: list[BatchView]
    first_id: str | None
    last_id: str | None
    """What to send as `after` for the next page."""
    has_more: bool
