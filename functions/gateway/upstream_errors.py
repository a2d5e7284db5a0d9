"""An upstream's refusal in the one error shape. Servers differ: `code` may be a number, `error` a mere string."""

from typing import Any

import msgspec

from shared.core import context_length
from shared.core.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    NotInstalled,
    OmniError,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from shared.ports.upstream import Response
from shared.surfaces.usage import NOT_JSON

MOST_BYTES = 64 * 1024
"""Of a refusal; the rest is not read."""
REFUSED = frozenset({400, 413, 422})
"""How servers refuse a request because of what is in it."""
BY_STATUS: dict[int, type[OmniError]] = {
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    429: RateLimited,
    501: NotInstalled,
    503: Unavailable,
    504: UpstreamTimeout,
}


async def read_refusal(response: Response) -> bytes:
    """The beginning of a refusal's body, and most are no longer."""
    parts, size = [], 0
    async for part in response.chunks():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            break
    return b"".join(parts)[:MOST_BYTES]


def from_answer(
    status: int, content: bytes, retry_after: bytes, *, trusted: bool, prompt_field: str = "messages"
) -> OmniError:
    """The error to raise for an upstream's answer of 400 or more.

    What a server outside the platform says of its own failures (5xx), or of our account (401, 403, 429), stays with
    us; its code is for the log. `prompt_field` is where the request holds the prompt.
    """
    told = _told(content)
    if status < 400 or (not trusted and (status >= 500 or status in {401, 403, 429})):
        error = BY_STATUS.get(status, UpstreamFailed)
        return error(detail=f"upstream answered {status}, code {told.get('code')}")
    if status in REFUSED and (too_long := context_length.recognised(told, prompt_field)):
        return too_long
    return of_status(status)(
        told.get("message", ""),
        param=told.get("param"),
        code=told.get("code", ""),
        retry_after_s=_seconds(retry_after),
    )


def of_status(status: int) -> type[OmniError]:
    return BY_STATUS.get(status, InvalidRequest if 400 <= status < 500 else UpstreamFailed)


def _seconds(retry_after: bytes) -> float | None:
    """A `Retry-After` in seconds, an hour at most; None for none, a date or nonsense."""
    if not retry_after.isdigit():
        return None
    return min(float(retry_after[:9]), 3600.0)


def _told(content: bytes) -> dict[str, str]:
    """Message, param and code, as far as the answer has them as text."""
    try:
        answer: Any = msgspec.json.decode(content)
    except NOT_JSON:
        return {}
    found = answer.get("error", answer.get("detail", answer)) if isinstance(answer, dict) else answer
    if isinstance(found, str):
        return {"message": found}
    if not isinstance(found, dict):
        return {}
    return {name: found[name] for name in ("message", "param", "code", "type") if isinstance(found.get(name), str)}
