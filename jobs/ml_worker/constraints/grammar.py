"""Rules of a grammar in llama.cpp's notation (GBNF), written so that the text so far can be read in few ways.

A rule is a name and its alternatives, each a sequence of tokens: names of rules, literals in quotes, sets in brackets.
"""

from collections.abc import Callable, Iterable

from jobs.ml_worker.constraints import characters
from jobs.ml_worker.constraints.automata import Automaton
from jobs.ml_worker.constraints.characters import Ranges
from jobs.ml_worker.constraints.refusal import TooComplex

Sequence = tuple[str, ...]

MOST_BYTES = 128 * 1024
LONGEST_CHAIN = 128
"""A longer repeat is put together of halves: it has less rules, and can be read in a few more ways."""
ESCAPES = {"\b": "b", "\t": "t", "\n": "n", "\f": "f", "\r": "r", '"': '\\"', "\\": "\\\\"}
"""Written behind a backslash in a JSON string, as they stand inside a set of GBNF's."""
PLAIN = characters.complement(characters.union((ord(each), ord(each)) for each in ESCAPES))
WHITE = "ws"
BASE: dict[str, list[Sequence]] = {
    WHITE: [(), ('" "',), ('"\\n"', "indent")],
    "indent": [("[ \\t]{0,20}",)],
    "integer": [('"0"',), ('"-"', "digits"), ("digits",)],
    "digits": [("[1-9]", "[0-9]{0,15}")],
    "number": [("integer",), ("integer", "fraction")],
    "fraction": [('"."', "[0-9]{1,16}"), ("power",), ('"."', "[0-9]{1,16}", "power")],
    "power": [("[eE]", "[-+]?", "[0-9]{1,2}")],
    "char": [('[^"\\\\\\x00-\\x1F\\x7F]',), ('"\\\\"', '["\\\\/bfnrt]')],
}

Written = Callable[[Ranges], list[str]]


class Grammar:
    def __init__(self) -> None:
        self._rules: dict[str, list[Sequence]] = {name: list(rule) for name, rule in BASE.items()}
        self._names: dict[tuple[Sequence, ...], str] = {}
        self._bytes = 0

    def reserve(self, kind: str) -> str:
        """The name of a rule that is written later."""
        name = f"{kind}{len(self._rules)}"
        self._rules[name] = []
        return name

    def write(self, name: str, alternatives: Iterable[Sequence]) -> None:
        self._rules[name] = list(alternatives)
        self._bytes += len(name) + 6 + sum(len(token) + 1 for each in self._rules[name] for token in (*each, "|"))
        if self._bytes > MOST_BYTES:
            raise TooComplex("its grammar is too large")

    def rule(self, *alternatives: Sequence) -> str:
        """The name of the rule with these alternatives; the same for the same ones."""
        if alternatives not in self._names:
            name = self.reserve("r")
            self.write(name, alternatives)
            self._names[alternatives] = name
        return self._names[alternatives]

    @staticmethod
    def ways_of(optional: int) -> int:
        """In how many ways a text is read at the same time inside a repeat of which so many may be left out."""
        return 1 if optional <= LONGEST_CHAIN else (optional // LONGEST_CHAIN).bit_length() + 1

    def repeated(self, item: str, least: int, most: int | None) -> Sequence:
        """`item` so many times."""
        if most is None:
            loop = self._names.get(((), (item, "*"))) or self.reserve("r")
            if ((), (item, "*")) not in self._names:
                self._names[(), (item, "*")] = loop
                self.write(loop, [(), (item, loop)])
            return (*self._times(item, least), loop)
        return (*self._times(item, least), *self._at_most(item, most - least))

    def string(self, machine: Automaton) -> Sequence:
        """The machine's strings as JSON."""
        return ('"\\""', self._of_machine(machine, self._escaped), '"\\""')

    def words(self, machine: Automaton) -> Sequence:
        """The machine's strings as they are."""
        return (self._of_machine(machine, lambda ranges: [_set(ranges)]),)

    def can_end(self, root: Sequence) -> bool:
        """Whether there is a finite text for it."""
        finite: set[str] = set()
        users: dict[str, list[tuple[str, Sequence]]] = {}
        todo = []
        for name, alternatives in self._rules.items():
            for each in alternatives:
                for token in each:
                    users.setdefault(token, []).append((name, each))
                if not any(token in self._rules for token in each):
                    todo.append(name)
        while todo:
            found = todo.pop()
            if found in finite:
                continue
            finite.add(found)
            todo += [
                name
                for name, each in users.get(found, ())
                if name not in finite and all(token in finite or token not in self._rules for token in each)
            ]
        return all(token in finite or token not in self._rules for token in root)

    def text(self, root: Sequence) -> str:
        """The grammar of the texts that `root` describes."""
        rules = {"root": [root], **self._rules}
        lines = []
        for name, alternatives in rules.items():
            lines.append(f"{name} ::= " + " | ".join(" ".join(each) or '""' for each in alternatives))
        return "\n".join(lines) + "\n"

    def _times(self, item: str, count: int) -> Sequence:
        if count <= 1:
            return (item,) * count
        half = self._times(item, count // 2)
        return (self.rule((*half, *half, *((item,) if count % 2 else ()))),)

    def _at_most(self, item: str, count: int) -> Sequence:
        if count <= LONGEST_CHAIN:
            rest: Sequence = ()
            for _ in range(count):
                rest = (self.rule((), (item, *rest)),)
            return rest
        half = (count + 1) // 2
        whole = (*self._times(item, half), *self._at_most(item, count - half))
        return (self.rule(whole, self._at_most(item, half - 1)),)

    def _of_machine(self, machine: Automaton, written: Written) -> str:
        names = [self.reserve("s") for _ in machine.steps]
        for state, steps in enumerate(machine.steps):
            alternatives: list[Sequence] = [()] if state in machine.accepting else []
            for target, ranges in steps.items():
                alternatives += [(each, names[target]) for each in written(ranges)]
            self.write(names[state], alternatives)
        return names[0]

    def _escaped(self, ranges: Ranges) -> list[str]:
        """The tokens for a character of a set, as it stands in a JSON string."""
        plain = characters.intersection(ranges, PLAIN)
        escapes = [sign for each, sign in ESCAPES.items() if characters.intersection(ranges, characters.of(each))]
        tokens = [self.rule((_set(plain),))] if plain else []
        if escapes:
            tokens.append(self.rule(('"\\\\"', f"[{''.join(escapes)}]")))
        return tokens


def _set(ranges: Ranges) -> str:
    return "[" + "".join(_sign(low) + (f"-{_sign(high)}" if high > low else "") for low, high in ranges) + "]"


def _sign(code: int) -> str:
    """A character in GBNF: plain where nothing can mistake it."""
    character = chr(code)
    if character.isascii() and character.isalnum():
        return character
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
