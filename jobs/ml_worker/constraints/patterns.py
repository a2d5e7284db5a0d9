"""Regular expressions of JSON Schema (ECMA 262), as far as they are regular, as trees.

What finite automata cannot do (lookaround, back references, word boundaries) is Unsupported.
"""

import re
from dataclasses import dataclass

from jobs.ml_worker.constraints import characters
from jobs.ml_worker.constraints.characters import Ranges
from jobs.ml_worker.constraints.refusal import SchemaRefused, TooComplex, Unsupported

DEEPEST = 50
MOST_REPEATS = 10_000
CLASSES = {"d": characters.DIGIT, "w": characters.WORD, "s": characters.SPACE}
CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
HEX_DIGITS = {"x": 2, "u": 4}


@dataclass(frozen=True, slots=True)
class One:
    """A character out of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence:
    items: "tuple[Pattern, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    options: "tuple[Pattern, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    item: "Pattern"
    least: int
    most: int | None


Pattern = One | Sequence | Choice | Repeat

ANYTHING = Repeat(One(characters.ALL), 0, None)


def parse(text: str) -> Pattern:
    """The strings that the pattern is found in: one without `^` may have anything before it."""
    reader = _Reader(text)
    pattern = reader.choice(anchored=True)
    if reader.rest:
        raise SchemaRefused(f"the pattern has an unmatched '{reader.rest[0]}'")
    return pattern


def literal(text: str) -> Pattern:
    return Sequence(tuple(One(((ord(each), ord(each)),)) for each in text))


def require_balance(text: str) -> None:
    """SchemaRefused for a pattern whose groups or sets are not closed, whatever else is in it."""
    depth, in_set = 0, False
    for sign in re.sub(r"\\.", "", text, flags=re.DOTALL):
        if in_set:
            in_set = sign != "]"
        elif sign == "[":
            in_set = True
        else:
            depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
    if depth or in_set or re.search(r"(?<!\\)(\\\\)*\\$", text):
        raise SchemaRefused("the pattern has an unmatched bracket, or ends too early")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    @property
    def rest(self) -> str:
        return self._text[self._at :]

    def choice(self, *, anchored: bool = False) -> Pattern:
        self._depth += 1
        if self._depth > DEEPEST:
            raise TooComplex("the pattern's groups are nested too deep")
        options = [self._sequence(anchored=anchored)]
        while self._take("|"):
            options.append(self._sequence(anchored=anchored))
        self._depth -= 1
        return Choice(tuple(options)) if len(options) > 1 else options[0]

    def _sequence(self, *, anchored: bool) -> Pattern:
        items: list[Pattern] = [] if not anchored or self._take("^") else [ANYTHING]
        closed = not anchored
        while self._at < len(self._text) and self._peek() not in "|)":
            if anchored and self._take("$"):
                closed = True
                if self._at < len(self._text) and self._peek() != "|":
                    raise Unsupported("the pattern has a '$' elsewhere than at its end")
                break
            items.append(self._repeated(self._atom()))
        return Sequence(tuple(items if closed else [*items, ANYTHING]))

    def _repeated(self, item: Pattern) -> Pattern:
        """With the quantifier that follows, if any; a lazy one takes the same strings."""
        if self._at == len(self._text) or self._peek() not in "*+?{":
            return item
        sign = self._next()
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign] if sign != "{" else self._counts()
        self._take("?")
        if self._peek() and self._peek() in "*+?{":
            raise SchemaRefused("the pattern repeats a repeat; put the inner one into a group")
        return Repeat(item, least, most)

    def _counts(self) -> tuple[int, int | None]:
        low, comma, high = self._until("}").partition(",")
        if not low.isdecimal() or not low.isascii() or (high and not (high.isdecimal() and high.isascii())):
            raise SchemaRefused("the pattern has a '{' that counts nothing; write '\\{' for the character")
        if len(low) > 6 or len(high) > 6 or int(low) > MOST_REPEATS or int(high or 0) > MOST_REPEATS:
            raise TooComplex(f"the pattern repeats more than {MOST_REPEATS} times")
        least = int(low)
        most = least if not comma else int(high) if high else None
        if most is not None and most < least:
            raise SchemaRefused("the pattern has a repeat whose least is more than its most")
        return least, most

    def _atom(self) -> Pattern:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return One(self._class())
        if sign == ".":
            return One(_held(characters.ANY_BUT_LINE_ENDS))
        if sign == "\\":
            return One(_held(self._escaped()))
        if sign in "^$":
            raise Unsupported(f"the pattern has a '{sign}' elsewhere than at its ends")
        if sign in "*+?{}]":
            raise SchemaRefused(f"the pattern has a '{sign}' that follows nothing; write '\\{sign}' for the character")
        return One(_held(characters.of(sign)))

    def _group(self) -> Pattern:
        if self._take("?"):
            if self._take("<"):
                if self._peek() in "=!":
                    raise Unsupported("the pattern looks behind")
                self._until(">")
            elif not self._take(":"):
                raise Unsupported("the pattern looks ahead, or has flags")
        inner = self.choice()
        if not self._take(")"):
            raise SchemaRefused("the pattern has an unmatched '('")
        return inner

    def _class(self) -> Ranges:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            low = self._member()
            if len(low) == 1 and low[0][0] == low[0][1] and self.rest[:1] == "-" and self.rest[1:2] not in ("]", ""):
                self._next()
                high = self._member()
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                    raise SchemaRefused("the pattern has a range of characters that is none")
                low = ((low[0][0], high[0][0]),)
            ranges += low
        found = characters.union(ranges)
        return _held(characters.complement(found) if negated else found)

    def _member(self) -> Ranges:
        sign = self._next()
        if sign == "\\":
            if self._take("b"):
                return characters.of("\b")
            return self._escaped()
        return characters.of(sign)

    def _escaped(self) -> Ranges:
        sign = self._next()
        if found := CLASSES.get(sign.lower()):
            return found if sign.islower() else characters.complement(found)
        if sign in "pP" and self._take("{"):
            found = characters.category(self._until("}").removeprefix("General_Category=").removeprefix("gc="))
            if not found:
                raise Unsupported("the pattern names a property of characters that is not known here")
            return found if sign == "p" else characters.complement(found)
        if control := CONTROLS.get(sign):
            return characters.of(control)
        if sign in HEX_DIGITS:
            return self._by_number(sign)
        if sign.isalnum():
            raise Unsupported(f"the pattern has '\\{sign[:1]}'")
        return characters.of(sign)

    def _by_number(self, sign: str) -> Ranges:
        digits = self._until("}") if sign == "u" and self._take("{") else self._several(HEX_DIGITS[sign])
        try:
            return characters.of(chr(int(digits, 16)))
        except (ValueError, OverflowError):
            raise SchemaRefused("the pattern names a character by a number that is none") from None

    def _several(self, count: int) -> str:
        return "".join(self._next() for _ in range(count))

    def _until(self, end: str) -> str:
        text, found, _ = self.rest.partition(end)
        if not found:
            raise SchemaRefused(f"the pattern lacks a '{end}'")
        self._at += len(text) + 1
        return text

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise SchemaRefused("the pattern ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, sign: str) -> bool:
        taken = self._text.startswith(sign, self._at)
        self._at += len(sign) * taken
        return taken


def _held(ranges: Ranges) -> Ranges:
    """What of a set an answer's string may hold."""
    return characters.intersection(ranges, characters.ALL)
