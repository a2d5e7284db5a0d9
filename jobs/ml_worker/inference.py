"""What a job may ask of the worker's model."""

from collections.abc import Callable
from typing import Any, Protocol

from shared.core.fairness import Owner

UsageSoFar = Callable[[], dict[str, Any]]
"""The usage object of an answer that is being generated."""


class Inference(Protocol):
    async def complete(
        self,
        route_name: str,
        body: dict[str, Any],
        owner: Owner,
        when_begun: Callable[[], None] = lambda: None,
        counted_by: Callable[[UsageSoFar], None] = lambda _: None,
    ) -> dict[str, Any]:
        """The whole answer, in OpenAI's shape and with its usage, to a body that the route would take.

        `stream` in the body is ignored. It waits for the owner's turn in the engine, and calls `when_begun` then (more
        than once for several choices); `counted_by` is called before, with what tells the usage so far. Cancelling it
        stops the generation. Raises InvalidRequest, NotFound (another model), NotInstalled (no model), Unavailable
        (still loading), UpstreamFailed or UpstreamTimeout.
        """
        ...
