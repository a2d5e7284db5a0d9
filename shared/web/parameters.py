"""What the parameters and headers of the API mean, by name; a name means the same on every route."""

from typing import Any

from shared.core.jobs import State
from shared.core.usage import Grouping
from shared.core.webhooks import State as DeliveryState

Json = dict[str, Any]

REQUEST_HEADERS: dict[str, tuple[Json, str]] = {
    "Idempotency-Key": (
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "Does the work once, and gives the same answer for 24 hours to whoever sends the same request with this key.",
    ),
    "Prefer": (
        {"type": "string"},
        "`wait=N`: waits up to N seconds (at most 60) for the job's end. On inference routes `respond-async` makes a "
        "job of the request, which takes a key with the scope `jobs`; with `wait=N` its result may be the answer.",
    ),
    "Last-Event-ID": ({"type": "string"}, "The id of the last event that came; only what is new since is told."),
    "Cache-Control": (
        {"type": "string"},
        "`max-age=N`: an answer may be N seconds old, at any temperature (at temperature 0 it may be of any age). "
        "`no-cache`: ask the model, and keep its answer. `no-store`: ask the model, and keep nothing.",
    ),
}

QUERY_PARAMETERS: dict[str, tuple[Json, str]] = {
    "limit": ({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "Most items on a page."),
    "after": ({"type": "string"}, "The `next_cursor` of an earlier page; of files and batches, the last id on it."),
    "state": ({"type": "string", "enum": [state.value for state in State]}, "Only those in this state."),
    "task": ({"type": "string"}, "Only those of this task."),
    "error": (
        {"type": "string"},
        "Only those whose last error has this code: `attempts_exhausted` with `state=failed` lists the dead letters.",
    ),
    "metadata": (
        {"type": "object", "additionalProperties": {"type": "string"}},
        "Only those whose metadata holds these pairs, as in `metadata[order]=42`.",
    ),
    "order": ({"type": "string", "enum": ["asc", "desc"], "default": "desc"}, "By the time they were made."),
    "purpose": ({"type": "string", "enum": ["batch", "batch_output"]}, "Only those for this purpose."),
    "tenant": ({"type": "string"}, "Only this tenant's."),
    "from": ({"type": "string", "format": "date"}, "The first day (UTC); 29 days before the last when left out."),
    "to": ({"type": "string", "format": "date"}, "The last day; today when left out."),
    "group": (
        {"type": "string", "enum": [each.value for each in Grouping], "default": "day"},
        "What the sums are told by.",
    ),
    "job": ({"type": "string"}, "Only this job's."),
    "outcome": ({"type": "string", "enum": [state.value for state in DeliveryState]}, "Only those that stand there."),
}
"""What the names in the manifest's `query` mean; a name means the same on every route."""

HEADERS = {
    "x-request-id": "The caller's own when it sent a well-formed one; quote it when something went wrong.",
    "location": "Where to look for the result.",
    "retry-after": "Whole seconds to wait.",
    "idempotency-replayed": "`true` when this is the answer that an earlier request with the same key got.",
    "x-omni-cache": "`hit`, `miss`, or `bypass` when the cache was not asked.",
    "x-omni-cost-usd": "What the answer cost, in US dollars; a stream tells it in a comment before its end. "
    "Absent when the model has no price.",
    "age": "Seconds since the model gave this answer, when it comes from the cache.",
    "x-ratelimit-limit-requests": "Requests per minute that the key may make; absent when it has no limit.",
    "x-ratelimit-remaining-requests": "How many of them are left.",
    "x-ratelimit-reset-requests": "When all of them are free again, as in `1m0s`.",
}
LIMIT_HEADERS = tuple(name for name in HEADERS if name.startswith("x-ratelimit-"))
