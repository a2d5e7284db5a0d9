"""A line of a batch's output or error file, as OpenAI writes them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.batches.input import Asked
from shared.batches.parts import Result
from shared.core.batches import Tokens
from shared.core.errors import OmniError

LINE_ENDS = {text.encode(): f"\\u{ord(text):04x}".encode() for text in ("\x85", "\u2028", "\u2029")}
"""Some readers, Python's `str.splitlines` among them, take these for ends of a line."""
_to_json = msgspec.json.Encoder().encode


def answered(batch_id: str, line: Asked, body: Mapping[str, Any], ms: int) -> Result:
    return Result(line.number, False, _line(batch_id, line, 200, body), tokens_of(body.get("usage"), ms))


def refused(batch_id: str, line: Asked, error: OmniError) -> Result:
    shown = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return Result(line.number, True, _line(batch_id, line, error.status, {"error": shown}))


def unanswered(batch_id: str, line: Asked, code: str, message: str) -> bytes:
    """For a line that never got to run."""
    error = {"code": code, "message": message}
    return _encode(_head(batch_id, line) | {"response": None, "error": error}) + b"\n"


def tokens_of(usage: Any, ms: int) -> Tokens:
    """The counts of an answer's usage; none where there are none."""
    if not isinstance(usage, dict):
        return Tokens(ms=ms)
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Tokens(usage.get("prompt_tokens", 0), cached, usage.get("completion_tokens", 0), ms)


def _line(batch_id: str, line: Asked, status: int, body: Mapping[str, Any]) -> bytes:
    request_id = f"req_{batch_id.removeprefix('batch_')}_{line.number}"
    response = {"status_code": status, "request_id": request_id, "body": body}
    return _encode(_head(batch_id, line) | {"response": response, "error": None}) + b"\n"


def _encode(line: dict[str, Any]) -> bytes:
    """The line as JSON that is one line to every reader."""
    text = _to_json(line)
    for raw, escaped in LINE_ENDS.items():
        text = text.replace(raw, escaped)
    return text


def _head(batch_id: str, line: Asked) -> dict[str, Any]:
    return {"id": f"batch_req_{batch_id.removeprefix('batch_')}_{line.number}", "custom_id": line.custom_id}
