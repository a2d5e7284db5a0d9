"""What an engine says when it does not answer, as the platform's errors."""

import re
from typing import Any

import msgspec

from shared.core.errors import InvalidRequest, OmniError, Unavailable, UpstreamFailed

FIELD = re.compile(r"Field '(\w+)': ")
NOISE = re.compile(r"\[json\.exception[^\]]*\] |^Unable to generate parser.*?failed: ")
TOO_LONG = ("exceed_context_size_error", "maximum context length")


def from_answer(status: int, content: bytes, prompt_field: str) -> OmniError:
    """The error for an engine's HTTP answer of 400 or more; `prompt_field` is where the request holds the prompt."""
    try:
        answer = msgspec.json.decode(content)
    except msgspec.DecodeError:
        answer = content.decode(errors="replace")
    return from_told(answer, status, prompt_field)


def from_told(told: Any, status: int, prompt_field: str) -> OmniError:
    """The error for an engine's error object, in whichever of their shapes."""
    found = told.get("error", told) if isinstance(told, dict) else told
    message = str(found.get("message", "")) if isinstance(found, dict) else str(found)
    if any(sign in str(found) for sign in TOO_LONG):
        return too_long(message, prompt_field)
    if status in {400, 422}:
        field = FIELD.search(message)
        return InvalidRequest(NOISE.sub("", message), param=field[1] if field else None)
    if status == 503:
        return Unavailable(detail=message, code="model_loading", retry_after_s=2)
    return UpstreamFailed(detail=f"the engine answered {status}: {message[:500]}")


def too_long(message: str, prompt_field: str) -> InvalidRequest:
    return InvalidRequest(message, param=prompt_field, code="context_length_exceeded")
