"""Requests of jobs and batches, which name a model as the catalogue does."""

from typing import Any

from jobs.ml_worker.inference import Generation, Inference
from shared.catalogue import Catalogue
from shared.core.fairness import Owner


class CatalogueInference:
    """Asks the worker for the model by the worker's own name for it; the answer bears the caller's."""

    def __init__(self, inference: Inference, catalogue: Catalogue) -> None:
        self._inference = inference
        self._catalogue = catalogue

    async def complete(
        self, route_name: str, body: dict[str, Any], owner: Owner, generation: Generation
    ) -> dict[str, Any]:
        """See Inference."""
        model_id = str(body["model"])
        asked = {**body, "model": self._catalogue.name_at_worker(model_id)}
        answer = await self._inference.complete(route_name, asked, owner, generation)
        return {**answer, "model": model_id} if "model" in answer else answer
