"""What an engine says when it does not answer, as the platform's errors."""

import re
from typing import Any

import msgspec

from shared.core import context_length
from shared.core.errors import InvalidRequest, OmniError, Unavailable, UpstreamFailed

FIELD = re.compile(r"Field '(\w+)': ")
NOISE = re.compile(r"\[json\.exception[^\]]*\] |^Unable to generate parser.*?failed: ")
GONE = ("EngineCore", "EngineDead", "after shutdown", "shutting down")
"""How vLLM says that its engine has died, or that it is being stopped."""
VALIDATION = re.compile(r"'msg': '([^']*)'")
PARAMETER = re.compile(r" \(parameter=.*\)$")


def starting_again(detail: str = "", code: str = "model_loading") -> Unavailable:
    return Unavailable("The model is starting again.", code=code, detail=detail, retry_after_s=2)


def schema_refused(param: str | None = None) -> InvalidRequest:
    return InvalidRequest("The engine did not get on with this schema.", param=param, code="schema_too_complex")


def from_answer(status: int, content: bytes, prompt_field: str) -> OmniError:
    """The error for an engine's HTTP answer of 400 or more; `prompt_field` is where the request holds the prompt."""
    try:
        answer = msgspec.json.decode(content)
    except msgspec.DecodeError:
        answer = content.decode(errors="replace")
    return from_told(answer, status, prompt_field)


def from_told(told: Any, status: int, prompt_field: str) -> OmniError:
    """The error for an engine's error object, in whichever of their shapes."""
    found = told.get("error", told.get("detail", told)) if isinstance(told, dict) else told
    message = str(found.get("message", "")) if isinstance(found, dict) else str(found)
    if isinstance(found, dict | str) and (too_long := context_length.recognised(found, prompt_field)):
        too_long.message = PARAMETER.sub("", too_long.message)
        return too_long
    if status in {400, 422}:
        return InvalidRequest(_sentence(message), param=_param(found, message))
    detail = f"the engine answered {status}"  # its own words may quote the request
    if status == 503 or any(sign in message for sign in GONE):
        return starting_again(detail)
    if "grammar" in message.lower():
        return schema_refused()
    return UpstreamFailed(detail=detail)


def status(error: Any) -> int:
    """The HTTP status that an error inside a stream stands for; servers write it into `code`, or something else."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 500


def _sentence(message: str) -> str:
    """What it says to people, without what the server says to itself."""
    found = VALIDATION.search(message)
    return found[1] if found else PARAMETER.sub("", NOISE.sub("", message))


def _param(found: Any, message: str) -> str | None:
    if field := FIELD.search(message):
        return field[1]
    told = found.get("param") if isinstance(found, dict) else None
    return told.removeprefix("body.") if isinstance(told, str) else None
