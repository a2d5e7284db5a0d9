"""How deep and how wide a JSON body is, before anything decodes it: read piece by piece, in little memory.

Decoding turns 20 MB of brackets into gigabytes, and stalls the process while it does.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from shared.core.errors import InvalidRequest

MOST_CONTAINERS = 10_000
MOST_FIELDS = 10_000
"""Of all objects together."""
MOST_TEXTS = 50_000
"""Names of fields among them."""
MOST_VALUES = 1_000_000
"""Such as the tokens of a prompt. Within these bounds no step of decoding takes more than a few milliseconds, in which
no other thread gets its turn."""
PIECE_BYTES = 64 * 1024
"""Small enough for other threads to get their turn soon: within a piece none of them does."""

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""Brackets as signed bytes: one level down, one level up."""

TOO_DEEP = "The body is nested too deep: {} levels are allowed."
TOO_WIDE = (
    f"The body holds too much: {MOST_CONTAINERS} lists and objects, {MOST_FIELDS} fields, {MOST_TEXTS} texts and {{}} "
    "values are allowed."
)


class Piece(NamedTuple):
    outside: bytes
    """What stands in it outside of strings."""
    quotes: int
    """That begin or end a string: two for each."""


def check_structure(body: bytes, max_depth: int, most_values: int = MOST_VALUES) -> None:
    """InvalidRequest (code `too_deep` or `too_many_values`); blind to whether it is JSON."""
    if (
        body.count(b"[") + body.count(b"{") <= max_depth
        and body.count(b":") <= MOST_FIELDS
        and body.count(b'"') <= 2 * MOST_TEXTS
        and body.count(b",") <= most_values
    ):
        return
    depth = containers = fields = quotes = values = 0
    for piece in pieces(body):
        outside = piece.outside
        opened = outside.count(b"[") + outside.count(b"{")
        containers += opened
        fields += outside.count(b":")
        quotes += piece.quotes
        values += outside.count(b",")
        steps = outside.translate(_STEPS, _NOT_BRACKETS)
        if depth + opened > max_depth and max(accumulate(memoryview(steps).cast("b"), initial=depth)) > max_depth:
            raise InvalidRequest(TOO_DEEP.format(max_depth), code="too_deep")
        if containers > MOST_CONTAINERS or fields > MOST_FIELDS or quotes > 2 * MOST_TEXTS or values > most_values:
            raise InvalidRequest(TOO_WIDE.format(most_values), code="too_many_values")
        depth += 2 * opened - len(steps)


def pieces(body: bytes) -> Iterator[Piece]:
    """A JSON text in pieces."""
    start, in_string = 0, False
    while start < len(body):
        end = _end_of_piece(body, start)
        parts = body[start:end].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield Piece(b"".join(parts[int(in_string) :: 2]), len(parts) - 1)
        in_string ^= len(parts) % 2 == 0
        start = end


def _end_of_piece(body: bytes, start: int) -> int:
    """Where a piece may end: not inside an escape."""
    piece = body[start : start + PIECE_BYTES]
    backslashes = len(piece) - len(piece.rstrip(b"\\"))
    return start + len(piece) + backslashes % 2
