"""How deep and how wide a JSON body is, before anything decodes it: read piece by piece, in little memory.

Decoding turns 20 MB of brackets into gigabytes, and stalls the process while it does.
"""

from itertools import accumulate

from shared.core.errors import InvalidRequest

MOST_CONTAINERS = 100_000
MOST_VALUES = 1_000_000
MOST_FIELDS = 100_000
"""Of all objects together: to decode them takes a tenth of a second."""
PIECE_BYTES = 64 * 1024
"""Small enough for other threads to get their turn soon: within a piece none of them does."""

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""Brackets as signed bytes: one level down, one level up."""

TOO_DEEP = "The body is nested too deep: {} levels are allowed."
TOO_WIDE = (
    f"The body holds too much: {MOST_CONTAINERS} lists and objects, {MOST_FIELDS} fields and {MOST_VALUES} values "
    "are allowed."
)


def check_structure(body: bytes, max_depth: int) -> None:
    """InvalidRequest (code `too_deep` or `too_many_values`); blind to whether it is JSON."""
    if (
        body.count(b"[") + body.count(b"{") <= max_depth
        and body.count(b":") <= MOST_FIELDS
        and body.count(b",") <= MOST_VALUES
    ):
        return
    depth = containers = fields = values = start = 0
    in_string = False
    while start < len(body):
        end = _end_of_piece(body, start)
        outside, in_string = _outside_strings(body[start:end], in_string=in_string)
        start = end
        opened = outside.count(b"[") + outside.count(b"{")
        containers += opened
        fields += outside.count(b":")
        values += outside.count(b",")
        if containers > MOST_CONTAINERS or fields > MOST_FIELDS or values > MOST_VALUES:
            raise InvalidRequest(TOO_WIDE, code="too_many_values")
        steps = outside.translate(_STEPS, _NOT_BRACKETS)
        if depth + opened > max_depth and max(accumulate(memoryview(steps).cast("b"), initial=depth)) > max_depth:
            raise InvalidRequest(TOO_DEEP.format(max_depth), code="too_deep")
        depth += 2 * opened - len(steps)


def _end_of_piece(body: bytes, start: int) -> int:
    """Where a piece may end: not inside an escape."""
    piece = body[start : start + PIECE_BYTES]
    backslashes = len(piece) - len(piece.rstrip(b"\\"))
    return start + len(piece) + backslashes % 2


def _outside_strings(piece: bytes, *, in_string: bool) -> tuple[bytes, bool]:
    """What stands outside of strings, and whether the piece ends in one; `in_string` tells that it begins in one."""
    parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return b"".join(parts[int(in_string) :: 2]), in_string ^ (len(parts) % 2 == 0)
