"""The grammar of values without other values in them."""

import math

from jobs.ml_worker.constraints import automata, formats, keywords, numbers, patterns
from jobs.ml_worker.constraints.grammar import Grammar, Sequence
from jobs.ml_worker.constraints.keywords import Path, Reading, Schema
from jobs.ml_worker.constraints.patterns import Pattern
from jobs.ml_worker.constraints.refusal import SchemaRefused, Unsupported

QUOTE = '"\\""'
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
WHOLE_NUMBERS = "'minimum' and 'maximum' of a number must be whole numbers"


Bound = tuple[float, bool] | None


class Scalars:
    def __init__(self, grammar: Grammar, reading: Reading) -> None:
        self._grammar = grammar
        self._reading = reading
        self._numbers: dict[tuple[str, Bound, Bound], Sequence] = {}

    def of(self, name: str, schema: Schema, path: Path) -> Sequence:
        """The values of one of JSON's types."""
        if name == "string":
            return self._string(schema, path)
        if name in {"integer", "number"}:
            return self._number(name, schema, path)
        return (self._grammar.rule(('"true"',), ('"false"',)),) if name == "boolean" else ('"null"',)

    def _string(self, schema: Schema, path: Path) -> Sequence:
        least, most = keywords.counts(schema, "minLength", "maxLength")
        pattern = self._pattern(schema, path)
        if pattern is None:
            return (QUOTE, *self._grammar.repeated("char", least, most), QUOTE)
        machine = automata.automaton(pattern)
        return self._grammar.string(automata.of_length(machine, least, most) if least or most is not None else machine)

    def _pattern(self, schema: Schema, path: Path) -> Pattern | None:
        form, given = schema.get("format"), schema.get("pattern")
        if form is not None and form not in formats.PATTERNS:
            self._reading.leave_out(path, "format", f"the format {str(form)[:40]!r} is not supported")
            form = None
        if given is not None and not isinstance(given, str):
            raise SchemaRefused("'pattern' must be a text")
        if given is not None and form is not None:
            self._reading.leave_out(path, "format", "'format' is not supported beside 'pattern'")
        if given is None:
            return patterns.parse(formats.PATTERNS[form]) if form is not None else None
        try:
            return patterns.parse(given)
        except Unsupported as unsupported:
            patterns.require_balance(given)
            self._reading.leave_out(path, "pattern", f"'pattern': {unsupported}")
            return None

    def _number(self, name: str, schema: Schema, path: Path) -> Sequence:
        low = keywords.bound(schema, "minimum", "exclusiveMinimum")
        high = keywords.bound(schema, "maximum", "exclusiveMaximum")
        if name == "number" and any(each and not each[0].is_integer() for each in (low, high)):
            for keyword in sorted(schema.keys() & BOUNDS):
                self._reading.leave_out(path, keyword, WHOLE_NUMBERS)
            low = high = None
        if not low and not high:
            return (name,)
        if (name, low, high) not in self._numbers:
            self._numbers[name, low, high] = self._within(name, low, high)
        return self._numbers[name, low, high]

    def _within(self, name: str, low: Bound, high: Bound) -> Sequence:
        least, above = low or (-numbers.FURTHEST, False)
        most, below = high or (numbers.FURTHEST, False)
        if name == "number":
            pattern = numbers.decimals(int(least), int(most), above=above, below=below) if least <= most else None
        else:
            first = math.floor(least) + 1 if above else math.ceil(least)
            last = math.ceil(most) - 1 if below else math.floor(most)
            pattern = numbers.integers(first, last)
        if pattern is None:
            raise SchemaRefused("no number is between 'minimum' and 'maximum'")
        return self._grammar.words(automata.automaton(pattern))
