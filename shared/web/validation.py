"""Request bodies: bytes → JSON → a checked model. Whatever the bytes are, the worst answer is a 400 that says why.

Pydantic is imported by `parse` alone: what needs only the rest starts without it.
"""

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shared.core.errors import InvalidRequest
from shared.web.structure import check_structure

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 64
MOST_FIELDS = 100
"""More than any request has."""
SHOWN = 300
"""Characters of a message that repeats what the caller sent."""

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


def decode(body: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value of `body`; InvalidRequest (code `invalid_json`, `too_deep` or `too_many_values`) when there is
    none, or too much of it."""
    check_structure(body, max_depth)
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
    _refuse_a_flood_of_fields(model, value)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refusal(value, error.errors(include_url=False, include_input=False)) from None


def _refuse_a_flood_of_fields(model: "type[BaseModel]", value: Any) -> None:
    """Pydantic would describe every unknown field, which takes a thousand times the memory of the body."""
    if isinstance(value, dict) and model.model_config.get("extra") == "forbid" and len(value) > MOST_FIELDS:
        unknown = next(name for name in value if name not in model.model_fields)
        raise InvalidRequest(
            f"'{unknown[:SHOWN]}' {PHRASES['extra_forbidden']}.", param=unknown[:SHOWN], code="invalid_value"
        )


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
    if error["type"] == "extra_forbidden":
        return _leading_to_the_last(value, error["loc"]) or ()
    for step in error["loc"]:
        if _leads_further(value, step):
            value = value[step]
            path.append(step)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    if "discriminator" in error.get("ctx", {}):
        path.append(error["ctx"]["discriminator"].strip("'"))
    return tuple(path)


def _leading_to_the_last(value: Any, steps: FieldPath) -> FieldPath | None:
    """The path of a field that is there; the name of a union's member may be that of another field."""
    if not steps:
        return None
    if _leads_further(value, steps[0]):
        if len(steps) == 1:
            return steps
        if found := _leading_to_the_last(value[steps[0]], steps[1:]):
            return (steps[0], *found)
    return _leading_to_the_last(value, steps[1:])


def _leads_further(value: Any, step: str | int) -> bool:
    """Whether `step` is a key or an index of `value`."""
    if isinstance(value, list):
        return isinstance(step, int) and 0 <= step < len(value)
    return isinstance(value, dict) and step in value


def _phrase(error: "ErrorDetails") -> str:
    if phrase := PHRASES.get(error["type"]):
        return phrase.format(**error.get("ctx", {}))
    return NOISE.sub("", error["msg"])
