"""Sets of characters as sorted, disjoint ranges of code points."""

import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import groupby

Ranges = tuple[tuple[int, int], ...]

LAST = sys.maxunicode
WRITTEN = "\b\t\n\f\r"
"""The control characters with a JSON escape of their own."""


def of(*parts: str) -> Ranges:
    """`of("az", "_")`: each part is one character, or the first and the last of a range."""
    return union((ord(part[0]), ord(part[-1])) for part in parts)


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def complement(ranges: Ranges) -> Ranges:
    gaps, start = [], 0
    for low, high in ranges:
        if start < low:
            gaps.append((start, low - 1))
        start = high + 1
    return (*gaps, (start, LAST)) if start <= LAST else tuple(gaps)


def intersection(one: Ranges, other: Ranges) -> Ranges:
    return complement(union((*complement(one), *complement(other))))


CONTROLS = complement(union([(0x20, LAST), *((ord(each), ord(each)) for each in WRITTEN)]))
SURROGATES: Ranges = ((0xD800, 0xDFFF),)
ALL = complement(union((*CONTROLS, *SURROGATES)))
"""What a string of an answer may hold. The other control characters would only be had as `\\u00…`, and are left out."""
DIGIT = of("09")
WORD = of("az", "AZ", "09", "_")
SPACE = of(
    " ",
    "\t",
    "\n",
    "\r",
    "\f",
    "\v",
    "\u00a0",
    "\ufeff",
    "\u1680",
    "\u2000\u200a",
    "\u2028\u2029",
    "\u202f",
    "\u205f",
    "\u3000",
)
ANY_BUT_LINE_ENDS = complement(of("\n", "\r", "\u2028\u2029"))


@cache
def category(name: str) -> Ranges:
    """The characters of a general category of Unicode, such as `L` or `Lu`; none for a name that is no category."""
    return union(span for found, ranges in _categories().items() if name and found.startswith(name) for span in ranges)


@cache
def _categories() -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    start = 0
    for name, run in groupby(map(unicodedata.category, map(chr, range(LAST + 1)))):
        end = start + sum(1 for _ in run)
        found.setdefault(name, []).append((start, end - 1))
        start = end
    return found
