"""An upstream's refusal in the one error shape. Servers differ: `code` may be a number, `error` a mere string."""

from typing import Any

import msgspec

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

BY_STATUS: dict[int, type[OmniError]] = {
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    429: RateLimited,
    501: NotInstalled,
    503: Unavailable,
    504: UpstreamTimeout,
}


def from_answer(status: int, content: bytes, retry_after: str, *, trusted: bool) -> OmniError:
    """The error to raise for an upstream's answer of 400 or more.

    What a server outside the platform says of its own failures (5xx), or of our credentials (401, 403), is for the
    log only.
    """
    told = _told(content)
    if not trusted and (status >= 500 or status in {401, 403}):
        error = BY_STATUS.get(status, UpstreamFailed)
        return error(detail=f"upstream answered {status}: {told.get('message', '')[:500]}")
    error_class = BY_STATUS.get(status, InvalidRequest if status < 500 else UpstreamFailed)
    return error_class(
        told.get("message", ""),
        param=told.get("param"),
        code=told.get("code", ""),
        retry_after_s=float(retry_after) if retry_after.isdigit() else None,
    )


def _told(content: bytes) -> dict[str, str]:
    """Message, param and code, as far as the answer has them as text."""
    try:
        answer: Any = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return {}
    found = answer.get("error", answer.get("detail", answer)) if isinstance(answer, dict) else answer
    if isinstance(found, str):
        return {"message": found}
    if not isinstance(found, dict):
        return {}
    return {name: found[name] for name in ("message", "param", "code") if isinstance(found.get(name), str)}
