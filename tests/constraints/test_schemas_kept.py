"""Whatever a grammar lets an engine write is JSON that the schema takes."""

import random
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from jobs.ml_worker.constraints.schema_grammar import compiled
from tests.constraints.texts import draw, rules

INTEGER = {"type": "integer"}


def closed(**properties: Any) -> dict[str, Any]:
    names = list(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


KEPT: list[Any] = [
    *(
        {"type": "string", "pattern": pattern}
        for pattern in (
            *(
                "ab",
                "^ab",
                "ab$",
                r"^\d{3}-\w+$",
                r"^hello\!$",
                r"^[a-z]+\-[a-z]+$",
                "^a|b$",
                r"^\s{1,3}$",
                r"^\p{Lu}\p{L}*$",
            ),
            *(
                '^a"b\\\\c$',
                r"^a\nb$",
                r"^[^a]{3}$",
                r"^[\]\[]+$",
                "^$",
                "",
                r"^(ab|cd)*$",
                r"^(?:x{0,3}y){2,}$",
                "^é€😀$",
            ),
            *("^(a*)*$", r"^[\d.]+$", r"^(?<year>\d{4})$", r"^a+?b*?$", r"^\x41\u0042$", "^.{5}$"),
        )
    ),
    *({"type": "string", "format": form} for form in ("date", "time", "date-time", "uuid", "ipv4", "ipv6", "email")),
    *({"type": "string", "format": form} for form in ("hostname", "duration", "uri")),
    {"type": "string", "pattern": "^(ab)+$", "minLength": 3, "maxLength": 7},
    {"type": "string", "minLength": 3, "maxLength": 5},
    {"type": "string", "maxLength": 2000},
    *(
        {"type": "integer", "minimum": low, "maximum": high}
        for low, high in ((5, 7), (-3, 12), (98, 1003), (-10, -2), (0, 0))
    ),
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7.5},
    {"type": "integer", "minimum": -(10**18), "maximum": 10**18},
    *({"type": "number", "minimum": low, "maximum": high} for low, high in ((0, 1), (5, 7), (-3, 2), (-5, -2))),
    *(
        {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high}
        for low, high in ((0, 1), (5, 9), (-3, 2), (-5, -2))
    ),
    {"type": "number"},
    {"enum": [1, 'a"b\\', None, [1, 2], {"b": 1.5}, True, "ab", "a"]},
    {"type": "string", "enum": ["x", 1]},
    {"const": 'é"\\'},
    {"type": ["integer", "null"]},
    {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 4},
    {"type": "array", "items": INTEGER, "maxItems": 0},
    {"type": "array", "items": INTEGER, "minItems": 3, "maxItems": 1000},
    {"type": "array", "prefixItems": [INTEGER, {"type": "boolean"}], "items": False},
    {"type": "array", "prefixItems": [INTEGER], "items": {"type": "null"}, "minItems": 3},
    closed(x=INTEGER, y={"type": "string"}),
    {"type": "object", "properties": {"a": INTEGER, "b": {"type": "null"}, "c": INTEGER}, "required": ["b"]},
    {"type": "object", "properties": {"ab": INTEGER, "a": INTEGER}, "additionalProperties": {"type": "boolean"}},
    {"type": "object", "additionalProperties": INTEGER},
    {"type": "object", "required": ["q"]},
    closed(**{'a"b\\é': INTEGER}),
    {"anyOf": [INTEGER, closed(kind={"const": "a"}), closed(kind={"const": "b"}, more={"type": "null"})]},
    {"allOf": [{"properties": {"a": INTEGER}, "required": ["a"]}, {"properties": {"b": INTEGER}}]},
    {"$defs": {"a/b~c%": INTEGER}, "$ref": "#/$defs/a~1b~0c%25"},
    closed(value=INTEGER, next={"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
    {"$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "$ref": "#/$defs/tree"},
    {},
    True,
]


@pytest.mark.parametrize("schema", KEPT, ids=lambda schema: msgspec.json.encode(schema).decode()[:60])
def test_every_text_of_the_grammar_is_taken_by_the_schema(schema: Any) -> None:
    grammar = rules(compiled(schema, strict=True).grammar)
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    draws = (draw(grammar, random.Random(seed)) for seed in range(60))
    texts = [text for text in draws if text is not None]
    assert texts
    for text in texts:
        assert validator.is_valid(msgspec.json.decode(text)), text
