"""What the worker and the process that compiles schemas say to each other."""

from typing import Any

import msgspec


class Compilation(msgspec.Struct, frozen=True):
    schema: Any
    strict: bool
    unkept: frozenset[str] = frozenset()
    """Keywords that the engine does not keep to where this schema stands."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """A grammar, or an error."""

    grammar: str = ""
    left_out: tuple[tuple[str, ...], ...] = ()
    """Where the keywords are that are not kept to."""
    error: str = ""
    code: str = ""
    at: tuple[str, ...] = ()
    """Where in the schema the error is."""
