"""JSON Schema's keywords: which of them an answer is held to, and what their values must be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.ml_worker.constraints.refusal import SchemaRefused, Unsupported

Schema = Mapping[str, Any]
Path = tuple[str, ...]

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
SAY_NOTHING = frozenset(
    {"title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "discriminator"}
    | {"$schema", "$id", "$comment", "$defs", "definitions"}
)
"""Keywords that no answer can break."""
OF_TYPES: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
COMBINING = ("$ref", "const", "enum", "anyOf", "oneOf", "allOf")
"""Each of these says all there is to say of a value, but for its `type`."""
KEPT = frozenset({"type"}).union(SAY_NOTHING, *OF_TYPES.values(), COMBINING)
MOST_COUNT = 1_000_000
FURTHEST_BOUND = 1e300


@dataclass(slots=True)
class Reading:
    """What is made of keywords that an answer cannot be held to: refused with `strict`, else left out."""

    strict: bool
    unkept: frozenset[str] = frozenset()
    left_out: list[Path] = field(default_factory=list)

    def leave_out(self, path: Path, keyword: str, reason: str = "") -> None:
        if self.strict:
            why = reason or f"'{keyword}' is not supported here"
            raise Unsupported(f"{why}; without 'strict' it is left out")
        self.left_out.append((*path, keyword))

    def leave_out_unknown(self, schema: Schema, path: Path) -> None:
        for keyword in sorted(schema.keys() - (KEPT - self.unkept)):
            if not _is_satisfied_anyway(keyword, schema[keyword]):
                self.leave_out(path, keyword)

    def leave_out_beside(self, schema: Schema, path: Path, kept: Iterable[str]) -> None:
        """Whatever else stands beside a keyword that says it all."""
        beside = schema.keys() & KEPT - SAY_NOTHING - {"type", *kept}
        for keyword in sorted(beside):
            self.leave_out(path, keyword, f"'{keyword}' is not supported beside '{next(iter(kept))}'")


def types(schema: Schema) -> tuple[str, ...]:
    """What a value may be; without `type` as the other keywords tell, or anything."""
    given = schema.get("type")
    if given is None:
        implied = [
            name for name in ("object", "array", "string", "number") if OF_TYPES[name] & schema.keys() - {"format"}
        ]
        return tuple(implied) or (("string",) if "format" in schema else TYPES)
    listed = given if isinstance(given, list) else [given]
    if not listed or not all(isinstance(each, str) and each in TYPES for each in listed):
        raise SchemaRefused(f"'type' must be one of {', '.join(TYPES)}, or a list of them")
    return tuple(dict.fromkeys(each for each in listed if each != "integer" or "number" not in listed))


def counts(schema: Schema, least: str, most: str) -> tuple[int, int | None]:
    """The bounds of a length."""
    low, high = _count(schema, least) or 0, _count(schema, most)
    if high is not None and low > high:
        raise SchemaRefused(f"'{least}' is more than '{most}'")
    return low, high


def bound(schema: Schema, inclusive: str, exclusive: str) -> tuple[float, bool] | None:
    """A bound of a number, and whether the bound itself is out."""
    found = [
        (value, is_out)
        for keyword, is_out in ((inclusive, False), (exclusive, True))
        if (value := _number(schema, keyword)) is not None
    ]
    if not found:
        return None
    sign = 1 if inclusive == "minimum" else -1
    return max(found, key=lambda each: (sign * each[0], each[1]))


def listed(schema: Schema, keyword: str) -> list[Any]:
    value = schema[keyword]
    if not isinstance(value, list) or not value:
        raise SchemaRefused(f"'{keyword}' must be a list, and not empty")
    return value


def is_of(value: Any, kinds: Iterable[str]) -> bool:
    """Whether a JSON value is of one of the types."""
    if isinstance(value, bool):
        return "boolean" in kinds
    if isinstance(value, int | float):
        return "number" in kinds or ("integer" in kinds and float(value).is_integer())
    python = {type(None): "null", str: "string", list: "array", dict: "object"}
    return python[type(value)] in kinds


def _count(schema: Schema, keyword: str) -> int | None:
    value = schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or not value >= 0:
        raise SchemaRefused(f"'{keyword}' must be a whole number, 0 or more")
    if value > MOST_COUNT:
        raise SchemaRefused(f"'{keyword}' may be {MOST_COUNT} at most")
    return int(value)


def _number(schema: Schema, keyword: str) -> float | None:
    value = schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchemaRefused(f"'{keyword}' must be a number")
    return float(max(-FURTHEST_BOUND, min(FURTHEST_BOUND, value)))


def _is_satisfied_anyway(keyword: str, value: Any) -> bool:
    """Whether it asks for nothing, such as `uniqueItems: false`."""
    return value is None or (keyword == "uniqueItems" and value is False) or (keyword == "nullable" and value is False)
