"""Where passwords and keys come from."""

from typing import Protocol


class Secrets(Protocol):
    def get(self, name: str) -> str | None:
        """The secret's current value, or None when there is none of that name."""
        ...
