"""What a job may ask of the worker's model."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from shared.core.fairness import Owner


@dataclass(slots=True)
class Generation:
    """What the generation of an answer has taken so far."""

    when_begun: Callable[[], None] = lambda: None
    counted: Callable[[], dict[str, Any] | None] = lambda: None
    """OpenAI's usage object so far."""
    began_at: float | None = None
    """On the event loop's clock: when its turn in the engine came."""

    def begin(self) -> None:
        """May be called again, for each of several choices."""
        if self.began_at is None:
            self.began_at = asyncio.get_running_loop().time()
            self.when_begun()

    def seconds(self, most: float) -> float:
        """Since its turn in the engine, at most so many; 0 before."""
        return 0.0 if self.began_at is None else min(most, asyncio.get_running_loop().time() - self.began_at)


class Inference(Protocol):
    async def complete(
        self, route_name: str, body: dict[str, Any], owner: Owner, generation: Generation
    ) -> dict[str, Any]:
        """The whole answer, in OpenAI's shape and with its usage, to a body that the route would take.

        `stream` in the body is ignored. It waits for the owner's turn in the engine; meanwhile and afterwards the
        generation shows how far it is. Cancelling it stops the generation. Raises InvalidRequest, NotFound (another
        model), NotInstalled (no model), Unavailable (still loading), UpstreamFailed or UpstreamTimeout.
        """
        ...
