"""Who this process is, as the platform that runs it vouches for it."""

from typing import Protocol


class Identity(Protocol):
    def token(self, audience: str) -> str:
        """A token that the service at `audience` (scheme and host) takes as proof, good for some minutes at least.

        May wait for the platform; Unavailable when it does not answer.
        """
        ...

    def is_at_hand(self, audience: str) -> bool:
        """Whether `token` answers from memory, so that an event loop may call it."""
        ...
