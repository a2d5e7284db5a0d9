"""Capacity that all instances share."""

from collections.abc import Sequence
from typing import Protocol

from shared.core.limits import Answer, Ask, Claim


class Limiter(Protocol):
    @property
    def blocks(self) -> bool:
        """Whether an exchange may wait for the network, so that it does not belong on an event loop."""
        ...

    @property
    def degraded(self) -> bool:
        """Whether instances limit each for itself for now, as what they share cannot be reached."""
        ...

    @property
    def instances(self) -> int:
        """How many instances there were when last looked; at least 1."""
        ...

    def exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        """Settles, leases and claims slots: in one round trip, each ask and each claim atomically.

        In every window, over all instances, what is granted and used is at most the limit; what was charged beyond
        the limit is waited for. Of slots, no more than the limit are held, but those an instance says it uses.
        """
        ...

    def give_up(self, reason: str) -> None:
        """Does without what is shared until it can be reached again; of no effect where nothing is shared."""
        ...


class SharedLimiter(Protocol):
    """What all instances reach."""

    @property
    def instances(self) -> int:
        """How many there were at the last exchange; at least 1."""
        ...

    @property
    def epoch(self) -> str:
        """What the last exchange found: another value than before means that all counts were lost in between."""
        ...

    def exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        """As above. Unavailable when it cannot be reached; then it is not known what was done."""
        ...
