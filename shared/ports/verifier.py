"""Who stands behind an ID token that came with a request."""

from collections.abc import Collection
from typing import Protocol


class Verifier(Protocol):
    def account(self, token: str, audiences: Collection[str]) -> str:
        """The service account that a valid token, made for one of the audiences, names.

        Unauthenticated when it is none; Unavailable when nobody can tell at the moment.
        """
        ...
