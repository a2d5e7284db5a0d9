"""Patterns as deterministic automata: whatever a pattern looks like, it takes one step a character.

An engine that follows a grammar keeps every way in which the text so far can be read; of a nested repeat there may be
thousands. Of a deterministic automaton there is one.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from jobs.ml_worker.constraints import characters
from jobs.ml_worker.constraints.characters import Ranges
from jobs.ml_worker.constraints.patterns import Choice, One, Pattern, Repeat, Sequence
from jobs.ml_worker.constraints.refusal import SchemaRefused, TooComplex

MOST_POSITIONS = 4000
MOST_STATES = 2000
MOST_STEPS = 100_000
"""Ranges of characters looked at while the automaton is made."""
TOO_LARGE = "the pattern has too many repeats"


@dataclass(frozen=True, slots=True)
class Automaton:
    """State 0 is the first. Each state's steps by the state that they lead to."""

    steps: tuple[dict[int, Ranges], ...]
    accepting: frozenset[int]


def automaton(pattern: Pattern) -> Automaton:
    """TooComplex when it would be too large; SchemaRefused when no string fits."""
    if _positions(pattern) > MOST_POSITIONS:
        raise TooComplex(TOO_LARGE)
    nondeterministic = _Nondeterministic()
    end = nondeterministic.add(pattern, nondeterministic.state())
    return _trimmed(_determined(nondeterministic, end))


def of_words(words: list[str]) -> Automaton:
    """Takes these and nothing else."""
    steps: list[dict[int, Ranges]] = [{}]
    by_character: list[dict[str, int]] = [{}]
    accepting = set()
    for word in words:
        state = 0
        for character in word:
            if character not in by_character[state]:
                by_character[state][character] = len(steps)
                steps[state][len(steps)] = characters.of(character)
                steps.append({})
                by_character.append({})
            state = by_character[state][character]
        accepting.add(state)
    return Automaton(tuple(steps), frozenset(accepting))


def of_other_words(words: list[str]) -> Automaton:
    """Takes every string but these."""
    trie = of_words(words)
    other = len(trie.steps)
    steps = []
    for each in trie.steps:
        rest = characters.intersection(
            characters.complement(characters.union(span for ranges in each.values() for span in ranges)), characters.ALL
        )
        steps.append({**each, other: rest})
    steps.append({other: characters.ALL})
    return Automaton(tuple(steps), frozenset(range(other + 1)) - trie.accepting)


def of_length(inner: Automaton, least: int, most: int | None) -> Automaton:
    """Those of its strings that have so many characters."""
    cap = least if most is None else most
    numbers = {(0, 0): 0}
    steps: list[dict[int, Ranges]] = []
    todo = deque(numbers)
    accepting = set()
    while todo:
        state, length = todo.popleft()
        if state in inner.accepting and length >= least:
            accepting.add(numbers[state, length])
        steps.append({})
        if most is not None and length == most:
            continue
        for target, ranges in inner.steps[state].items():
            place = (target, min(length + 1, cap))
            if place not in numbers:
                numbers[place] = _within(len(numbers))
                todo.append(place)
            steps[-1][numbers[place]] = ranges
    return _trimmed(Automaton(tuple(steps), frozenset(accepting)))


def _positions(pattern: Pattern) -> int:
    """Characters of the pattern with its repeats written out."""
    if isinstance(pattern, One):
        return 1
    if isinstance(pattern, Sequence):
        return 1 + sum(_positions(each) for each in pattern.items)
    if isinstance(pattern, Choice):
        return sum(_positions(each) for each in pattern.options)
    return _positions(pattern.item) * max(pattern.least + (pattern.most is None), pattern.most or 0, 1)


class _Nondeterministic:
    def __init__(self) -> None:
        self.free: list[list[int]] = []
        """Steps that take no character."""
        self.steps: list[list[tuple[Ranges, int]]] = []

    def state(self) -> int:
        self.free.append([])
        self.steps.append([])
        return len(self.free) - 1

    def add(self, pattern: Pattern, start: int) -> int:
        """Adds the pattern behind a state; the state in which it has been taken."""
        if isinstance(pattern, One):
            end = self.state()
            self.steps[start].append((pattern.ranges, end))
            return end
        if isinstance(pattern, Sequence):
            for each in pattern.items:
                start = self.add(each, start)
            return start
        if isinstance(pattern, Choice):
            return self._join([self.add(each, self._after(start)) for each in pattern.options])
        return self._repeat(pattern, start)

    def _repeat(self, pattern: Repeat, start: int) -> int:
        for _ in range(pattern.least):
            start = self.add(pattern.item, start)
        if pattern.most is None:
            loop = self._after(start)
            self.free[self.add(pattern.item, loop)].append(loop)
            return self._after(loop)
        ends = [start]
        for _ in range(pattern.most - pattern.least):
            ends.append(self.add(pattern.item, self._after(ends[-1])))
        return self._join(ends)

    def _after(self, start: int) -> int:
        end = self.state()
        self.free[start].append(end)
        return end

    def _join(self, ends: list[int]) -> int:
        joined = self.state()
        for end in ends:
            self.free[end].append(joined)
        return joined

    def closure(self, states: frozenset[int]) -> frozenset[int]:
        """With all that is reached without a character, and only those that have something to say."""
        found, todo = set(states), list(states)
        while todo:
            for each in self.free[todo.pop()]:
                if each not in found:
                    found.add(each)
                    todo.append(each)
        return frozenset(found)


def _determined(machine: _Nondeterministic, end: int) -> Automaton:
    closure = cache(machine.closure)
    first = closure(frozenset({0}))
    numbers = {first: 0}
    todo = deque([first])
    steps: list[dict[int, Ranges]] = []
    looked_at = 0
    while todo:
        here = todo.popleft()
        edges = [edge for state in here for edge in machine.steps[state]]
        looked_at += sum(len(ranges) for ranges, _ in edges) + len(here)
        found: dict[int, list[tuple[int, int]]] = {}
        for span, targets in _segments(edges):
            place = closure(targets)
            looked_at += len(targets) + len(place)
            if looked_at > MOST_STEPS:
                raise TooComplex(TOO_LARGE)
            if place not in numbers:
                numbers[place] = _within(len(numbers))
                todo.append(place)
            found.setdefault(numbers[place], []).append(span)
        steps.append({target: characters.union(spans) for target, spans in found.items()})
    return Automaton(tuple(steps), frozenset(number for states, number in numbers.items() if end in states))


def _segments(edges: list[tuple[Ranges, int]]) -> Iterator[tuple[tuple[int, int], frozenset[int]]]:
    """The characters that lead on, in spans that lead to the same states."""
    begins: dict[int, list[tuple[int, int]]] = {}
    for ranges, target in edges:
        for low, high in ranges:
            begins.setdefault(low, []).append((target, 1))
            begins.setdefault(high + 1, []).append((target, -1))
    counts: dict[int, int] = {}
    for low, after in pairwise(sorted(begins)):
        for target, change in begins[low]:
            counts[target] = counts.get(target, 0) + change
        if targets := frozenset(target for target, count in counts.items() if count):
            yield (low, after - 1), targets


def _trimmed(machine: Automaton) -> Automaton:
    """Without the states from which no string can be finished."""
    sources: dict[int, set[int]] = {}
    for state, steps in enumerate(machine.steps):
        for target, ranges in steps.items():
            if ranges:
                sources.setdefault(target, set()).add(state)
    alive, todo = set(machine.accepting), list(machine.accepting)
    while todo:
        for state in sources.get(todo.pop(), set()) - alive:
            alive.add(state)
            todo.append(state)
    if 0 not in alive:
        raise SchemaRefused("no text fits the pattern")
    kept = tuple(
        {target: ranges for target, ranges in each.items() if target in alive and ranges} for each in machine.steps
    )
    return Automaton(kept, machine.accepting)


def _within(states: int) -> int:
    if states >= MOST_STATES:
        raise TooComplex(TOO_LARGE)
    return states
