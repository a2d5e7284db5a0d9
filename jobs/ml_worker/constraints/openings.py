"""What a value of a schema begins with, and so whether two schemas differ from their first character on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from jobs.ml_worker.constraints import keywords, references
from jobs.ml_worker.constraints.keywords import Schema
from jobs.ml_worker.constraints.refusal import TooComplex

FIRST = {"object": "{", "array": "[", "string": '"', "integer": "0", "number": "0", "boolean": "b", "null": "n"}
MOST_LOOKED_AT = 2000
MOST_OPTIONS = 250


@dataclass(frozen=True, slots=True)
class Opening:
    first: str
    """The kind of its first character."""
    key: str | None = None
    """The name that an object begins with."""
    value: str | None = None
    """The JSON of the whole value, or of the one behind `key`; None: it may be several."""

    def may_be(self, other: "Opening") -> bool:
        """Whether the same text can begin both for long."""
        if self.first != other.first:
            return False
        if self.key != other.key and self.key is not None and other.key is not None:
            return False
        return self.value is None or other.value is None or self.value == other.value


def ways(root: Any, options: list[Any]) -> int:
    """In how many of the options one text can be read at the same time, at most."""
    if len(options) > MOST_OPTIONS:
        raise TooComplex(f"more than {MOST_OPTIONS} alternatives")
    found = [frozenset(_openings(root, each)) for each in options]
    return max(sum(any(one.may_be(other) for one in each for other in another) for another in found) for each in found)


def _openings(root: Any, schema: Any) -> Iterator[Opening]:
    seen: set[int] = set()
    todo = [schema]
    while todo:
        each = todo.pop()
        if id(each) in seen or len(seen) > MOST_LOOKED_AT:
            continue
        seen.add(id(each))
        if not isinstance(each, dict):
            yield from (Opening(first) for first in set(FIRST.values()))
        elif "$ref" in each:
            todo.append(references.resolved(root, each["$ref"]))
        elif "const" in each or "enum" in each:
            yield from map(_of_value, [each["const"]] if "const" in each else keywords.listed(each, "enum"))
        elif combined := next((name for name in ("anyOf", "oneOf", "allOf") if name in each), ""):
            todo += keywords.listed(each, combined)
        else:
            yield from _of_types(root, each)


def _of_value(value: Any) -> Opening:
    name = next(name for name in keywords.TYPES if keywords.is_of(value, [name]))
    return Opening(FIRST[name], value=msgspec.json.encode(value).decode())


def _of_types(root: Any, schema: Schema) -> Iterator[Opening]:
    for name in keywords.types(schema):
        if name == "object":
            yield _of_object(root, schema)
        else:
            yield Opening(FIRST[name])


def _of_object(root: Any, schema: Schema) -> Opening:
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict) or not properties or not isinstance(required, list):
        return Opening("{")
    key = next(iter(properties))
    if key not in required:
        return Opening("{")
    values = [each.value for each in _openings_of_literals(root, properties[key])]
    return Opening("{", key, values[0] if len(values) == 1 else None)


def _openings_of_literals(root: Any, schema: Any) -> list[Opening]:
    if isinstance(schema, dict) and "$ref" in schema:
        schema = references.resolved(root, schema["$ref"])
    if isinstance(schema, dict) and "const" in schema:
        return [_of_value(schema["const"])]
    if isinstance(schema, dict) and isinstance(schema.get("enum"), list):
        return [_of_value(each) for each in schema["enum"]]
    return []
