"""A secret in the form its user needs, made again when the secret's text changes."""

from collections.abc import Callable
from typing import Generic, TypeVar

from shared.ports.secrets import Secrets

T = TypeVar("T")


class Secret(Generic[T]):
    """`read` makes the form out of the text, None standing for a secret that is not there."""

    def __init__(self, secrets: Secrets, name: str, read: Callable[[str | None], T]) -> None:
        self._secrets = secrets
        self._name = name
        self._read = read
        self._kept: tuple[str | None, T] | None = None

    @property
    def is_at_hand(self) -> bool:
        """Whether `value` does not wait for the secret's source."""
        return self._secrets.is_at_hand(self._name)

    def value(self, max_age_s: float | None = None) -> T:
        """As `Secrets.get`."""
        text = self._secrets.get(self._name, max_age_s)
        kept = self._kept
        if kept is None or kept[0] != text:
            kept = self._kept = text, self._read(text)
        return kept[1]


def newest_first(text: str | None) -> tuple[bytes, ...]:
    """The parts of a secret that is being rotated, separated by commas: the first is used, all are accepted."""
    return tuple(part.strip().encode() for part in (text or "").split(",") if part.strip())
