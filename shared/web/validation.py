"""Request bodies: bytes → JSON → a checked model. Whatever the bytes are, the worst answer is a 400 that says why.

Pydantic is imported by `parse` alone, so that the gateway, which only checks the depth, starts without it.
"""

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shared.core.errors import InvalidRequest

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 64
SHOWN = 300
"""Characters of a message that repeats what the caller sent."""

STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+["\\]?', re.DOTALL)
"""JSON strings, the last one possibly cut off: once begun it always matches, which keeps the scan linear."""
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

TOO_DEEP = "The body is nested too deep: {} levels are allowed."
PHRASES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "model_attributes_type": "should be an object",
    "union_tag_not_found": "is required",
    "union_tag_invalid": "should be one of {expected_tags}",
}

NOISE = re.compile(r"^(Value error, |(Input|String|List|Dictionary|Value) (?=should))| after validation")

FieldPath = tuple[str | int, ...]


def check_depth(body: bytes, max_depth: int) -> None:
    """InvalidRequest (code `too_deep`) when brackets nest deeper than `max_depth`; blind to whether it is JSON."""
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    depth = 0
    for bracket in STRINGS.sub(b"", body).translate(None, NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            raise InvalidRequest(TOO_DEEP.format(max_depth), code="too_deep")


def decode(body: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value of `body`; InvalidRequest (code `invalid_json` or `too_deep`) when there is none."""
    check_depth(body, max_depth)
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not valid UTF-8.", code="invalid_json") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(_malformed(body, str(error)), code="invalid_json") from None
    except RecursionError:  # a limit set higher than the decoder can go
        raise InvalidRequest("The body is nested too deep.", code="too_deep") from None


def parse(model: "type[M]", body: bytes, max_depth: int = MAX_DEPTH) -> "M":
    """`body` as `model`; InvalidRequest with the dotted name of the first wrong field in `param`."""
    from pydantic import ValidationError

    value = decode(body, max_depth)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refusal(value, error.errors(include_url=False)) from None


def _malformed(body: bytes, reason: str) -> str:
    if not body.strip():
        return "The body is empty; JSON is expected."
    if reason == "Input data was truncated":
        reason = f"it ends too early (byte {len(body)})"
    reason = reason.removeprefix("JSON is malformed: ").partition(" - at ")[0]
    return f"The body is not valid JSON: {reason[:1].lower()}{reason[1:]}."


def _refusal(value: Any, errors: "list[ErrorDetails]") -> InvalidRequest:
    """The first wrong field and what is wrong with it. A union complains once for each of its members, also at
    fields inside the member that was meant: the innermost of those tells the most."""
    problems: dict[FieldPath, list[str]] = {}
    for error in errors:
        problems.setdefault(_path(value, error), []).append(_phrase(error))
    first = next(iter(problems))
    path = max((each for each in problems if each[: len(first)] == first), key=len)
    more = sum(path[: len(each)] != each for each in problems)
    param = ".".join(map(str, path))[:SHOWN]
    phrases = " or ".join(dict.fromkeys(problems[path]))[:SHOWN]
    subject = f"'{param}'" if param else "The body"
    others = f" There {'is 1 more problem' if more == 1 else f'are {more} more problems'}." if more else ""
    return InvalidRequest(f"{subject} {phrases}.{others}", param=param or None, code="invalid_value")


def _path(value: Any, error: "ErrorDetails") -> FieldPath:
    """Where in `value` the error is: its location without the names of union members."""
    path: list[str | int] = []
    for step in error["loc"]:
        if _leads_further(value, step):
            value = value[step]
            path.append(step)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    if "discriminator" in error.get("ctx", {}):
        path.append(error["ctx"]["discriminator"].strip("'"))
    return tuple(path)


def _leads_further(value: Any, step: str | int) -> bool:
    """Whether `step` is a key or an index of `value`."""
    if isinstance(value, list):
        return isinstance(step, int) and 0 <= step < len(value)
    return isinstance(value, dict) and step in value


def _phrase(error: "ErrorDetails") -> str:
    if phrase := PHRASES.get(error["type"]):
        return phrase.format(**error.get("ctx", {}))
    return NOISE.sub("", error["msg"])
