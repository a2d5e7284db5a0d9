"""GET /v1/batches/{id}: a batch of the caller's tenant."""

from typing import Any

from functions.routes.context import Context
from shared.core.batches import Batch, Counts, Tokens
from shared.web.incoming import Incoming
from shared.web.reply import Reply

TIMES = (
    "created_at",
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


def handle(incoming: Incoming, context: Context) -> Reply:
    batch = context.batches.get(incoming.caller.tenant, incoming.params["id"])
    return Reply.json(view(batch, context.batches.counts(batch)))


def view(batch: Batch, counts: Counts) -> dict[str, Any]:
    """A batch as OpenAI shows one."""
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model or None,
        "errors": {"object": "list", "data": batch.mistakes} if batch.mistakes else None,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        **{name: None if (at := getattr(batch, name)) is None else int(at) for name in TIMES},
        "request_counts": counts,
        "usage": _usage(batch.tokens) if batch.tokens else None,
        "metadata": batch.metadata,
    }


def _usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.input + tokens.output,
    }
