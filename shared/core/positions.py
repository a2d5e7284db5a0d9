"""Where a page of documents ended: the value of the field that orders it, and the document's key.

A cursor is such a position as hexadecimal JSON. It comes back from callers, so it is checked like everything of theirs.
"""

import json
import math
from typing import Any, NamedTuple

from shared.core.errors import InvalidRequest

LONGEST = 4096
"""Characters of a cursor."""
LONGEST_KEY = 500
"""Bytes."""
WHOLE_NUMBERS = range(-(2**63), 2**63)


class Position(NamedTuple):
    value: str | int | float
    key: str


def to_cursor(position: Position) -> str:
    return json.dumps(position, separators=(",", ":")).encode().hex()


def from_cursor(cursor: str) -> Position:
    """InvalidRequest (param `after`) when the text is not what `to_cursor` makes."""
    try:
        value, key = _pair(json.loads(bytes.fromhex(cursor[:LONGEST])))
        return Position(_ordered(value), key)
    except (ValueError, TypeError, RecursionError):
        raise InvalidRequest("This is not a cursor that a list gave.", param="after") from None


def _pair(parts: Any) -> tuple[Any, str]:
    if not isinstance(parts, list):
        raise TypeError
    value, key = parts
    if not 0 < len(_text(key).encode()) <= LONGEST_KEY:
        raise ValueError
    return value, key


def _ordered(value: Any) -> str | int | float:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value in WHOLE_NUMBERS:
        return value
    return _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # UnicodeEncodeError, a ValueError, for half a character
    return value
