"""What a job may ask of the worker's model."""

from typing import Any, Protocol


class Inference(Protocol):
    async def complete(self, route_name: str, body: dict[str, Any]) -> dict[str, Any]:
        """The whole answer, in OpenAI's shape and with its usage, to a body that the route would take.

        `stream` in the body is ignored. It counts no slot: whoever runs the job holds one. Cancelling it stops the
        generation. Raises InvalidRequest, NotFound (another model), NotInstalled (no model), Unavailable (still
        loading), UpstreamFailed or UpstreamTimeout.
        """
        ...
