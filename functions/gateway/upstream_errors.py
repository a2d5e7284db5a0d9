"""An upstream's refusal in the one error shape. Servers differ: `code` may be a number, `error` a mere string."""

import re
from email.utils import parsedate_to_datetime
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
MOST_REASON = 2000
DEEPEST = 4
LONGEST_WAIT_S = 3600.0
NUMBER = re.compile(rb"\d+(?:\.\d+)?")
OUR_ACCOUNT = frozenset({401, 402, 403, 404})
"""What an upstream says of the account, or the address, that the operator gave it: nothing that a caller can mend."""
ACCOUNT = OUR_ACCOUNT | {429}
COMES_BACK = frozenset({429, 503, 529})
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


class ErrorObject(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")
    code: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def status(self) -> int:
        """That it tells of itself as a number; 0 when it does not."""
        try:
            inner = msgspec.json.decode(self.error, type=ErrorCode | None)
        except NOT_JSON:
            inner = None
        raw = inner.code if inner else bytes(self.code)
        digits = bytes(raw).strip(b'"')
        return int(digits) if digits.isdigit() and len(digits) == 3 else 0


class ErrorCode(msgspec.Struct):
    code: msgspec.Raw = msgspec.Raw(b"null")


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
    status: int, content: bytes, retry_after_s: float | None, *, trusted: bool, prompt_field: str = "messages"
) -> OmniError:
    """The error to raise for an upstream's answer of 400 or more.

    What a server outside the platform says of its own failures (5xx), or of our account (401, 402, 403, 404, 429),
    stays with us; its code is for the log. `prompt_field` is where the request holds the prompt.
    """
    reason = _reason(content)
    if status < 400 or (not trusted and (status >= 500 or status in ACCOUNT)):
        error = BY_STATUS.get(status, UpstreamFailed) if status not in OUR_ACCOUNT else UpstreamFailed
        return error(
            detail=f"upstream answered {status}, code {reason.get('code')}",
            retry_after_s=retry_after_s if status in COMES_BACK else None,
        )
    if status in REFUSED and (too_long := context_length.recognised(reason, prompt_field)):
        return too_long
    return of_status(status)(
        reason.get("message", ""),
        param=reason.get("param"),
        code=reason.get("code", ""),
        retry_after_s=retry_after_s,
    )


def of_status(status: int) -> type[OmniError]:
    return BY_STATUS.get(status, InvalidRequest if 400 <= status < 500 else UpstreamFailed)


def from_error_object(content: bytes, *, is_trusted: bool) -> OmniError:
    """The error for an answer with the status 200 that is none. A status that stands in it as `code` counts: that the
    server is busy concerns the caller; its own text passes on only when it is trusted."""
    status = stated_status(content) or UpstreamFailed.status
    error = from_answer(status, content, None, trusted=is_trusted)
    error.detail = f"it sent an error with the status 200; {error.detail}"
    return error


def stated_status(content: bytes) -> int:
    """The status that an error object tells of itself as its code; 0 when it does not."""
    try:
        status = msgspec.json.decode(content, type=ErrorObject).status
    except NOT_JSON:
        return 0
    return status if 400 <= status < 600 else 0


def wait_s(retry_after: bytes, retry_after_ms: bytes = b"", now: float = 0.0) -> float | None:
    """When the upstream wants to be asked again, in seconds from `now` and an hour at most: from `Retry-After`, which
    is a number or a date, or from OpenAI's `retry-after-ms`. None when it says nothing, or nonsense."""
    if (milliseconds := _number(retry_after_ms)) is not None:
        return min(milliseconds / 1000, LONGEST_WAIT_S)
    if (seconds := _number(retry_after)) is not None:
        return min(seconds, LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(retry_after.decode("latin-1"))
    except ValueError:
        return None
    return min(max(0.0, at.timestamp() - now), LONGEST_WAIT_S)


def _number(text: bytes) -> float | None:
    return float(text[:12]) if NUMBER.fullmatch(text) else None


def _reason(content: bytes) -> dict[str, str]:
    """Message, param, code and type of an error body, as far as it has them as text. Google's wraps it in a list,
    FastAPI's says `detail`, others `errors`, `msg`, a mere string or plain text."""
    try:
        found: Any = msgspec.json.decode(content)
    except NOT_JSON:
        text = content.decode(errors="replace").strip()
        return {"message": text[:MOST_REASON]} if text[:MOST_REASON].isprintable() and not text.startswith("<") else {}
    return _reason_in(found)


def _reason_in(found: Any, depth: int = 0) -> dict[str, str]:
    if isinstance(found, str):
        return {"message": found[:MOST_REASON]} if found else {}
    if isinstance(found, list):
        return _reason_in(found[0], depth + 1) if found and depth < DEEPEST else {}
    if not isinstance(found, dict) or depth > DEEPEST:
        return {}
    reason = {name: found[name] for name in ("message", "param", "code", "type") if isinstance(found.get(name), str)}
    for name in ("error", "detail", "errors", "message", "msg", "text"):
        if "message" not in reason and found.get(name):
            reason = _reason_in(found[name], depth + 1) | reason
    return reason
