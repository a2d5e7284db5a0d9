"""A setting: its variable, default, unit and meaning, and what its text may be."""

from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names it."""


def knob(default: object, env: str, meaning: str, *, unit: str = "", least: float | None = None) -> Any:
    return field(default=default, metadata={"env": env, "meaning": meaning, "unit": unit, "least": least})


def parse(env: str, text: str, default: object, least: float | None) -> object:
    """The text as a value of the default's type; SettingsError when it is none, or less than `least`."""
    if isinstance(default, bool):
        if text.lower() not in {"0", "1", "true", "false"}:
            raise SettingsError(f"{env} must be 1 or 0, not {text!r}")
        return text.lower() in {"1", "true"}
    if isinstance(default, int | float):
        try:
            value = type(default)(text)
        except ValueError:
            raise SettingsError(f"{env} must be a number, not {text!r}") from None
        if least is not None and not value >= least:
            raise SettingsError(f"{env} must be at least {least:g}, not {text}")
        return value
    if isinstance(default, StrEnum):
        if text not in (choices := [each.value for each in type(default)]):
            raise SettingsError(f"{env} must be one of {', '.join(choices)}, not {text!r}")
        return type(default)(text)
    return Path(text) if isinstance(default, Path) else text
