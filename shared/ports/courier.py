"""Posts to addresses that callers name: never to a private one, never through a redirect, never for long."""

from collections.abc import Mapping
from typing import Protocol


class PrivateAddress(Exception):
    """The address is not one of the public internet; the message says which."""


class Undelivered(Exception):
    """No answer came; the message says why."""


class Courier(Protocol):
    def check(self, url: str) -> None:
        """PrivateAddress when the host's name leads to one. A name that cannot be resolved now passes."""
        ...

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer, whatever it is. Undelivered, also when the name leads to a private address."""
        ...
