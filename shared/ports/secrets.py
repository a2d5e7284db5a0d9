"""Where passwords and keys come from."""

from typing import Protocol


class Secrets(Protocol):
    """Values are kept in memory for a while, so that one which is replaced at its source is used without a restart."""

    @property
    def is_failing(self) -> bool:
        """Whether the source could not be asked the last time, so that values are the last known ones."""
        ...

    def get(self, name: str, max_age_s: float | None = None) -> str | None:
        """The secret's value, or None when there is none of that name (or none that may be read any more).

        It is at most `max_age_s` old, by default as old as the adapter lets values grow; older only while the source
        cannot be asked, which is Unavailable for a value that was never read. May wait for the source.
        """
        ...

    def is_at_hand(self, name: str) -> bool:
        """Whether `get` answers from memory, so that an event loop may call it."""
        ...
