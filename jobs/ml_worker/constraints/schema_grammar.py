"""A JSON Schema as a grammar: every text of the grammar is JSON that the schema takes.

Where a schema takes more than a grammar can say, the grammar says less. What could make an engine slow or end it is
refused: the size of the grammar is bounded, and in how many ways a text can be read while it is written.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from jobs.ml_worker.constraints import automata, keywords, openings, references
from jobs.ml_worker.constraints.grammar import Grammar, Sequence
from jobs.ml_worker.constraints.keywords import Path, Reading, Schema
from jobs.ml_worker.constraints.refusal import SchemaRefused, TooComplex
from jobs.ml_worker.constraints.scalars import Scalars

MOST_WAYS = 64
"""In which a text may be read at the same time."""
MOST_OPTIONAL = 100
"""Properties in a row that may be left out: each of them may come next."""
ANYTHING: Schema = {"type": list(keywords.TYPES)}
NESTED = "any"


@dataclass(frozen=True, slots=True)
class Compiled:
    grammar: str
    left_out: tuple[Path, ...]
    """Keywords that are not kept to."""


def compiled(schema: Any, *, strict: bool, unkept: frozenset[str] = frozenset()) -> Compiled:
    """SchemaRefused says what is wrong with it, and where. `unkept` are further keywords that are not kept to."""
    reading = Reading(strict, unkept)
    return Compiled(SchemaGrammar(schema, reading).text(), tuple(reading.left_out))


class SchemaGrammar:
    def __init__(self, root: Any, reading: Reading) -> None:
        self._root = root
        self._reading = reading
        self._grammar = Grammar()
        self._scalars = Scalars(self._grammar, reading)
        self._rules: dict[str, str] = {}
        """Of what is referred to, by the reference."""
        self._todo: deque[str] = deque()
        self._aliases: dict[str, set[str]] = {}
        """References that stand for one another, with nothing around."""
        self._uses: dict[tuple[str, str], int] = {}
        """In how many ways a text can be read at the place where one definition uses another."""
        self._owner = ""

    def text(self) -> str:
        root = self._value(self._root, (), 1, bare=True)
        while self._todo:
            self._owner = self._todo.popleft()
            target = ANYTHING if self._owner == NESTED else references.resolved(self._root, self._owner)
            path = (self._owner,)
            self._grammar.write(self._rules[self._owner], [self._value(target, path, 1, bare=True)])
        references.refuse_rings(self._aliases)
        self._refuse_many_ways()
        if not self._grammar.can_end(root):
            raise SchemaRefused("no value fits: it would have to go on without end")
        return self._grammar.text(root)

    def _value(self, schema: Any, path: Path, ways: int, *, bare: bool = False) -> Sequence:
        """`ways`: in how many ways a text may be read when it gets here, within the definition that is being written;
        `bare`: there is nothing around the value in that definition."""
        try:
            return self._kinds(schema, path, ways, bare)
        except SchemaRefused as refused:
            if refused.at is None:
                refused.at = path
            raise

    def _kinds(self, schema: Any, path: Path, ways: int, bare: bool) -> Sequence:  # noqa: FBT001
        if schema is True or (isinstance(schema, Mapping) and not schema.keys() - keywords.SAY_NOTHING):
            return (self._reference(NESTED, ways, bare=False),) if path else self._types(ANYTHING, path, ways)
        if not isinstance(schema, Mapping):
            raise SchemaRefused("no value fits 'false'" if schema is False else "a schema must be an object")
        if ways > MOST_WAYS:
            raise TooComplex("its alternatives are too much alike")
        self._reading.leave_out_unknown(schema, path)
        for keyword in keywords.COMBINING:
            if keyword in schema:
                return self._combined(keyword, schema, path, ways, bare)
        return self._types(schema, path, ways)

    def _combined(self, keyword: str, schema: Schema, path: Path, ways: int, bare: bool) -> Sequence:  # noqa: FBT001
        if keyword == "allOf":
            return self._value(self._merged(schema, path), path, ways, bare=bare)
        self._reading.leave_out_beside(schema, path, [keyword])
        if keyword == "$ref":
            references.resolved(self._root, schema["$ref"])
            return (self._reference(schema["$ref"], ways, bare=bare),)
        if keyword in {"const", "enum"}:
            return self._literals([schema["const"]] if keyword == "const" else keywords.listed(schema, "enum"), schema)
        options = keywords.listed(schema, keyword)
        if "type" in schema:
            options = [{"type": schema["type"], **each} if isinstance(each, dict) else each for each in options]
        ways *= openings.ways(self._root, options)
        found = [
            self._value(each, (*path, keyword, str(number)), ways, bare=bare) for number, each in enumerate(options)
        ]
        return (self._grammar.rule(*found),)

    def _types(self, schema: Schema, path: Path, ways: int) -> Sequence:
        found = []
        for name in keywords.types(schema):
            if name == "object":
                found.append(self._object(schema, path, ways))
            elif name == "array":
                found.append(self._array(schema, path, ways))
            else:
                found.append(self._scalars.of(name, schema, path))
        return found[0] if len(found) == 1 else (self._grammar.rule(*found),)

    def _literals(self, values: Iterable[Any], schema: Schema) -> Sequence:
        kinds = keywords.types({"type": schema["type"]}) if "type" in schema else keywords.TYPES
        texts = [msgspec.json.encode(value).decode() for value in values if keywords.is_of(value, kinds)]
        if not texts:
            raise SchemaRefused("none of the values is of the 'type'")
        return self._grammar.words(automata.of_words(texts))

    def _reference(self, reference: str, ways: int, *, bare: bool) -> str:
        if reference not in self._rules:
            self._rules[reference] = self._grammar.reserve("d")
            self._todo.append(reference)
        if bare:
            self._aliases.setdefault(self._owner, set()).add(reference)
        use = (self._owner, reference)
        self._uses[use] = max(ways, self._uses.get(use, 0))
        return self._rules[reference]

    def _array(self, schema: Schema, path: Path, ways: int) -> Sequence:
        least, most = keywords.counts(schema, "minItems", "maxItems")
        items, keyword = schema.get("items", not schema.get("prefixItems")), "items"
        first = schema.get("prefixItems", [])
        if isinstance(items, list):
            first, items = items, False
        if not isinstance(first, list):
            raise SchemaRefused("'prefixItems' must be a list")
        if most is not None and len(first) > most:
            first = first[:most]
        if items is False and least > len(first):
            raise SchemaRefused("'minItems' is more than there are items")
        inside = [self._value(each, (*path, "prefixItems", str(number)), ways) for number, each in enumerate(first)]
        if items is False or most == len(first):
            return self._listed([self._grammar.rule(each) for each in inside])
        most_rest = None if most is None else most - len(first)
        spread = 1 if most_rest is None else Grammar.ways_of(max(0, most_rest - max(0, least - len(first))))
        item = self._grammar.rule(self._value(items, (*path, keyword), ways * spread))
        return self._listed([self._grammar.rule(each) for each in inside], item, max(0, least - len(first)), most_rest)

    def _listed(self, first: list[str], item: str = "", least: int = 0, most: int | None = 0) -> Sequence:
        begin, end = ('"["', "ws"), ("ws", '"]"')
        inside: list[str] = []
        for each in first:
            inside += ['","', "ws", each] if inside else [each]
        if not item:
            return (*begin, *inside, *end)
        more = self._grammar.rule(('","', "ws", item))
        if inside:
            return (*begin, *inside, *self._grammar.repeated(more, least, most), *end)
        rest = None if most is None else most - 1
        some = (item, *self._grammar.repeated(more, max(0, least - 1), rest))
        return (*begin, *(some if least else (self._grammar.rule((), some),)), *end)

    def _object(self, schema: Schema, path: Path, ways: int) -> Sequence:
        properties = schema["properties"] if schema.get("properties") is not None else {}
        required = schema["required"] if schema.get("required") is not None else []
        if not isinstance(properties, Mapping):
            raise SchemaRefused("'properties' must be an object")
        if not isinstance(required, list) or not all(isinstance(each, str) for each in required):
            raise SchemaRefused("'required' must be a list of names")
        further = schema.get("additionalProperties", not properties)
        missing = [name for name in dict.fromkeys(required) if name not in properties]
        if missing and schema.get("additionalProperties") is False:
            raise SchemaRefused("'required' names what is not among 'properties'")
        pairs: list[tuple[str, bool]] = []
        for name, inner in [*properties.items(), *((name, further or True) for name in missing)]:
            if inner is False and name not in required:
                continue
            place = (*path, "properties", name) if name in properties else (*path, "additionalProperties")
            value = self._value(inner, place, ways)
            pairs.append((self._pair(self._grammar.words(automata.of_words([_text(name)])), value), name in required))
        more = ""
        if further is not False:
            known = [*properties, *missing]
            name = self._grammar.string(automata.of_other_words(known)) if known else self._scalars.of("string", {}, ())
            more = self._pair(name, self._value(further, (*path, "additionalProperties"), ways))
        return ('"{"', "ws", *self._members(pairs, more), "ws", '"}"')

    def _pair(self, name: Sequence, value: Sequence) -> str:
        return self._grammar.rule((*name, "ws", '":"', "ws", *value))

    def _members(self, pairs: list[tuple[str, bool]], more: str) -> Sequence:
        """Those pairs in their order, each with whether it is required, and then more of others."""
        _refuse_long_runs(pairs)
        further = self._grammar.repeated(self._grammar.rule(('","', "ws", more)), 0, None) if more else ()
        begun: Sequence = further
        opening: Sequence = (self._grammar.rule((), (more, *further)),) if more else ()
        for pair, is_required in reversed(pairs):
            rest = ('","', "ws", pair, *begun)
            opening = (pair, *begun) if is_required else (self._grammar.rule((pair, *begun), opening),)
            begun = rest if is_required else (self._grammar.rule(rest, begun),)
        return opening

    def _merged(self, schema: Schema, path: Path) -> Any:
        """What all of `allOf` say together: the one there is, or objects that add to each other."""
        parts = [self._followed(each) for each in keywords.listed(schema, "allOf")]
        own = {name: value for name, value in schema.items() if name in keywords.OF_TYPES["object"] | {"type"}}
        if len(parts) == 1 and not own.keys() - {"type"}:
            self._reading.leave_out_beside(schema, path, ["allOf"])
            return keywords.listed(schema, "allOf")[0]
        objects = [*parts, own]
        if not all(
            _only_adds(each) for each in objects
        ) or schema.keys() & keywords.KEPT - own.keys() - keywords.SAY_NOTHING - {"allOf"}:
            self._reading.leave_out(path, "allOf", "'allOf' is supported for one schema, and for objects that are open")
            return (
                {"type": "object"} if any("properties" in each for each in objects if isinstance(each, dict)) else True
            )
        properties: dict[str, Any] = {}
        for each in objects:
            for name, inner in (each.get("properties") or {}).items():
                properties[name] = {"allOf": [properties[name], inner]} if name in properties else inner
        required = list(dict.fromkeys(name for each in objects for name in each.get("required") or ()))
        return {"type": "object", "properties": properties, "required": required}

    def _followed(self, schema: Any) -> Any:
        """What a reference points to, in the end."""
        seen: set[str] = set()
        while isinstance(schema, Mapping) and "$ref" in schema:
            if schema["$ref"] in seen:
                raise SchemaRefused("'$ref' leads back to itself")
            seen.add(schema["$ref"])
            schema = references.resolved(self._root, schema["$ref"])
        return schema

    def _refuse_many_ways(self) -> None:
        """A definition that uses itself at a place that can be read in two ways is read in four a level deeper."""
        most = {owner: 1 for owner, _ in self._uses} | {"": 1}
        for _ in range(len(most) + MOST_WAYS.bit_length() + 1):
            before = dict(most)
            for (owner, used), ways in self._uses.items():
                most[used] = max(most.get(used, 1), most[owner] * ways)
            if max(most.values()) > MOST_WAYS:
                raise TooComplex("its alternatives are too much alike")
            if most == before:
                return


def _only_adds(schema: Any) -> bool:
    return (
        isinstance(schema, Mapping)
        and schema.get("type", "object") == "object"
        and not schema.keys() - keywords.OF_TYPES["object"] - keywords.SAY_NOTHING - {"type"}
        and schema.get("additionalProperties", True) is True
        and isinstance(schema.get("properties") or {}, Mapping)
        and isinstance(schema.get("required") or [], list)
    )


def _refuse_long_runs(pairs: list[tuple[str, bool]]) -> None:
    run = 0
    for _, is_required in pairs:
        run = 0 if is_required else run + 1
        if run > MOST_OPTIONAL:
            raise TooComplex(f"more than {MOST_OPTIONAL} properties in a row may be left out")


def _text(name: str) -> str:
    return msgspec.json.encode(name).decode()
