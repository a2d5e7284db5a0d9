"""Small schemas that would stall an engine or end it: each is refused, or has a grammar within bounds."""

from typing import Any

import msgspec
import pytest

from jobs.ml_worker.constraints.grammar import MOST_BYTES
from jobs.ml_worker.constraints.refusal import SchemaRefused, TooComplex
from jobs.ml_worker.constraints.schema_grammar import compiled

INTEGER = {"type": "integer"}
LIST_OR_LONG_LIST = [
    {"type": "array", "items": {"$ref": "#"}},
    {"type": "array", "items": {"$ref": "#"}, "minItems": 2},
]


def pattern(text: str) -> dict[str, str]:
    return {"type": "string", "pattern": text}


def chain(link: Any, length: int = 60) -> dict[str, Any]:
    """Definitions of which each uses the next one."""
    named = {f"d{number}": link({"$ref": f"#/$defs/d{number + 1}"}) for number in range(length)}
    return {"$defs": named | {f"d{length}": INTEGER}, "$ref": "#/$defs/d0"}


REFUSED: dict[str, tuple[Any, str]] = {
    "a reference to itself": ({"$ref": "#"}, "invalid_schema"),
    "references in a ring": (
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        "invalid_schema",
    ),
    "allOf of itself": ({"allOf": [{"$ref": "#/allOf/0"}]}, "invalid_schema"),
    "anyOf of itself": ({"anyOf": [{"$ref": "#/anyOf/0"}]}, "invalid_schema"),
    "oneOf of itself": ({"oneOf": [{"$ref": "#/oneOf/0"}, INTEGER]}, "invalid_schema"),
    "a property of itself": ({"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}, "invalid_schema"),
    "items of itself": ({"type": "array", "items": {"$ref": "#/items"}}, "invalid_schema"),
    "without end": ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "invalid_schema"),
    "a list without end": ({"type": "array", "items": {"$ref": "#"}, "minItems": 1}, "invalid_schema"),
    "a reference to no schema": ({"properties": {"a": {"$ref": "#/required"}}, "required": ["a"]}, "invalid_schema"),
    "a reference to nothing": ({"$ref": "#/$defs/x"}, "invalid_schema"),
    "a reference elsewhere": ({"$ref": "http://169.254.169.254/"}, "unsupported_schema"),
    "a reference that is a number": ({"$ref": 1}, "invalid_schema"),
    "an index that is no number": ({"anyOf": [INTEGER, {"$ref": "#/anyOf/٠"}]}, "invalid_schema"),
    "least above most": ({"type": "integer", "minimum": 9, "maximum": 3}, "invalid_schema"),
    "least above most of a number": ({"type": "number", "minimum": 9, "maximum": 3}, "invalid_schema"),
    "nothing between": ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4}, "invalid_schema"),
    "beyond all numbers": ({"type": "integer", "minimum": 1e308}, "invalid_schema"),
    "longer than its most": ({"type": "string", "minLength": 10, "maxLength": 1}, "invalid_schema"),
    "more items than its most": ({"type": "array", "items": INTEGER, "minItems": 3, "maxItems": 1}, "invalid_schema"),
    "a length below nothing": ({"type": "string", "maxLength": -1}, "invalid_schema"),
    "a length of a half": ({"type": "string", "maxLength": 0.5}, "invalid_schema"),
    "a length that is huge": ({"type": "string", "maxLength": 1e308}, "invalid_schema"),
    "a pattern that is too short for its length": (
        {"type": "string", "pattern": "^a$", "minLength": 5},
        "invalid_schema",
    ),
    "a repeat from two to one": (pattern("^a{2,1}$"), "invalid_schema"),
    "a repeat of 100000": (pattern("^a{0,100000}$"), "schema_too_complex"),
    "a repeat of more digits than a number has": (pattern("^a{0,99999999999999999999}$"), "schema_too_complex"),
    "nested repeats": (pattern("^((a{1,50}){1,50}){1,50}$"), "schema_too_complex"),
    "nested optional repeats": (pattern("^(((a?){0,99}){0,99}){0,99}$"), "schema_too_complex"),
    "ten nested repeats": (pattern("^" + "(" * 10 + "a" + "{0,3})" * 10 + "$"), "schema_too_complex"),
    "a deterministic automaton of 2^20 states": (pattern("^(a|b)*a(a|b){20}$"), "schema_too_complex"),
    "two counted gaps": (pattern("^.{0,900}x.{0,900}$"), "schema_too_complex"),
    "a thousand groups": (pattern("(" * 1000 + "a" + ")" * 1000), "schema_too_complex"),
    "a thousand stars": (pattern("a" + "*" * 1000), "invalid_schema"),
    "an unmatched bracket": (pattern("^((((("), "invalid_schema"),
    "an unmatched bracket before an anchor": (pattern("^((((($"), "invalid_schema"),
    "lookahead that is not closed": (pattern("(?=a"), "invalid_schema"),
    "an unfinished set": (pattern("^[a-"), "invalid_schema"),
    "a set upside down": (pattern("^[z-a]$"), "invalid_schema"),
    "an unfinished escape": (pattern("^a\\"), "invalid_schema"),
    "a surrogate": (pattern("^\\ud800$"), "invalid_schema"),
    "a control character": (pattern("^\x01$"), "invalid_schema"),
    "a character beyond Unicode": (pattern("^\\u{110000}$"), "invalid_schema"),
    "alike in a ring": ({"anyOf": LIST_OR_LONG_LIST}, "schema_too_complex"),
    "alike in a chain": (
        chain(lambda use: {"anyOf": [{"type": "array", "items": use, "minItems": n} for n in (0, 1)]}),
        "schema_too_complex",
    ),
    "many alternatives": ({"anyOf": [{}] * 3000}, "schema_too_complex"),
    "two hundred that are alike": (
        {"anyOf": [{"type": "string", "pattern": f"^a*{n}$"} for n in range(200)]},
        "schema_too_complex",
    ),
    "hundreds that may be left out": ({"properties": {f"p{n}": INTEGER for n in range(300)}}, "schema_too_complex"),
    "lists of long lists of long lists": (
        {
            "type": "array",
            "items": {
                "type": "array",
                "items": {"type": "array", "items": INTEGER, "maxItems": 10**6},
                "maxItems": 10**6,
            },
            "maxItems": 10**6,
        },
        "schema_too_complex",
    ),
    "no type there is": ({"type": "foo"}, "invalid_schema"),
    "no types": ({"type": []}, "invalid_schema"),
    "no alternatives": ({"anyOf": []}, "invalid_schema"),
    "no value": ({"enum": []}, "invalid_schema"),
    "nothing": (False, "invalid_schema"),
    "a list for a schema": ([], "invalid_schema"),
    "properties that are a list": ({"type": "object", "properties": []}, "invalid_schema"),
    "a property that is a text": ({"type": "object", "properties": {"a": "integer"}}, "invalid_schema"),
    "required by number": ({"type": "object", "required": [1]}, "invalid_schema"),
    "required and ruled out": ({"properties": {}, "required": ["a"], "additionalProperties": False}, "invalid_schema"),
    "a value of another type": ({"type": "integer", "const": "x"}, "invalid_schema"),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_or_without_strict(name: str, strict: bool) -> None:  # noqa: FBT001
    schema, code = REFUSED[name]
    with pytest.raises(SchemaRefused) as refused:
        compiled(schema, strict=strict)
    assert refused.value.code == code


HARMLESS: dict[str, Any] = {
    "a star of a star": pattern("^(a*)*$"),
    "stars in a row": pattern("^" + "(a|b|c)*" * 12 + "$"),
    "a thousand letters": pattern("^[a-z]{1,1000}$"),
    "doubling references": chain(lambda use: {"type": "object", "properties": {"a": use, "b": use}}),
    "a long chain": chain(lambda use: {"type": "array", "items": use}, 300),
    "long texts": {"type": "string", "maxLength": 65536},
    "long lists": {"type": "array", "items": INTEGER, "minItems": 5000, "maxItems": 5000},
    "long lists of long lists": {
        "type": "array",
        "minItems": 900,
        "items": {"type": "array", "minItems": 900, "items": INTEGER},
    },
    "a large enum": {"enum": [f"value {number}" for number in range(900)]},
    "many that are required": {
        "type": "object",
        "properties": {f"p{number}": INTEGER for number in range(300)},
        "required": [f"p{number}" for number in range(300)],
    },
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_bad_has_a_grammar_within_bounds(name: str) -> None:
    assert len(compiled(HARMLESS[name], strict=True).grammar) < MOST_BYTES


def test_a_schema_that_is_too_large_for_a_grammar_is_refused() -> None:
    alternatives = "|".join(f"{letter}{'x' * 80}" for letter in "abcdefghijklmnop")
    with pytest.raises(TooComplex):
        compiled({"properties": {f"p{n}": pattern(f"^({alternatives}){n}$") for n in range(60)}}, strict=True)


NOT_KEPT: dict[str, tuple[dict[str, Any], str]] = {
    "multipleOf": ({"type": "integer", "multipleOf": 7}, "multipleOf"),
    "uniqueItems": ({"type": "array", "items": INTEGER, "uniqueItems": True}, "uniqueItems"),
    "not": ({"not": {}}, "not"),
    "if": ({"if": {}}, "if"),
    "patternProperties": ({"type": "object", "patternProperties": {"^a$": INTEGER}}, "patternProperties"),
    "contains": ({"type": "array", "contains": INTEGER}, "contains"),
    "a format of its own": ({"type": "string", "format": "zip"}, "format"),
    "a keyword that does not exist": ({"type": "string", "maxlength": 3}, "maxlength"),
    "lookahead": (pattern("^(?=a)a$"), "pattern"),
    "lookbehind": (pattern("(?<=a)b"), "pattern"),
    "a back reference": (pattern("^(a)\\1$"), "pattern"),
    "a word boundary": (pattern("\\bab"), "pattern"),
    "flags": (pattern("(?i)ab"), "pattern"),
    "an anchor inside": (pattern("a$b"), "pattern"),
    "beside a reference": ({"$defs": {"x": INTEGER}, "$ref": "#/$defs/x", "minimum": 3}, "minimum"),
    "beside anyOf": ({"anyOf": [INTEGER], "minimum": 5}, "minimum"),
    "beside enum": ({"enum": ["a", "b"], "pattern": "a"}, "pattern"),
    "allOf of more than objects": ({"allOf": [INTEGER, {"minimum": 5}]}, "allOf"),
    "fractions as bounds": ({"type": "number", "minimum": 0.25}, "minimum"),
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_an_answer_is_not_held_to_is_named_under_strict_and_else_left_out(name: str) -> None:
    schema, keyword = NOT_KEPT[name]
    nested = {"type": "object", "properties": {"x": schema}, "$defs": schema.get("$defs", {})}
    with pytest.raises(SchemaRefused, match=keyword) as refused:
        compiled(nested, strict=True)
    assert (refused.value.code, refused.value.at) == ("unsupported_schema", ("properties", "x"))
    assert ("properties", "x", keyword) in compiled(nested, strict=False).left_out


def test_a_hundred_levels_are_no_deeper_than_the_compiler_can_go() -> None:
    schema: Any = INTEGER
    for _ in range(60):
        schema = {"type": "array", "items": {"anyOf": [schema, {"type": "null"}]}}
    assert len(compiled(schema, strict=True).grammar) < MOST_BYTES
    assert msgspec.json.encode(schema)
