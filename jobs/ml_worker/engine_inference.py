"""Requests for the worker's model, from callers and from jobs."""

from dataclasses import replace
from typing import Any

import msgspec

from jobs.ml_worker.completions import plan
from jobs.ml_worker.completions.answer import Answer, Loaded
from jobs.ml_worker.inference import Generation
from jobs.ml_worker.model import NONE, ServedModel
from shared.core.errors import NotFound
from shared.core.fairness import Owner
from shared.ports.clock import Clock
from shared.settings import Settings
from shared.web.asgi import look_into
from shared.web.schemas.chat import ChatRequest, CompletionRequest, Sampling
from shared.web.validation import parse

SCHEMAS: dict[str, type[Sampling]] = {"chat_completions": ChatRequest, "completions": CompletionRequest}
"""The inference routes there are, by name."""


class EngineInference:
    def __init__(self, settings: Settings, model: ServedModel, clock: Clock) -> None:
        self._settings = settings
        self._model = model
        self._clock = clock

    async def open(self, route_name: str, body: bytes, owner: Owner) -> tuple[plan.Plan, Answer]:
        """What the request asks for and the answer that can now be had; refuses what cannot be answered."""
        planned, loaded = await look_into(body, self._planned, route_name, body)
        planned = await self._model.guard.held(planned, loaded.running, owner.tenant)
        return planned, Answer(planned, loaded, owner, self._clock.now())

    def _planned(self, route_name: str, body: bytes) -> tuple[plan.Plan, Loaded]:
        request = parse(SCHEMAS[route_name], body, self._settings.max_json_depth)
        if request.model != self._model.id and self._model.id != NONE:
            raise NotFound(
                f"This worker does not serve the model '{request.model}'.", param="model", code="model_not_found"
            )
        loaded = self._model.loaded()
        most = self._settings.max_output_tokens
        if isinstance(request, ChatRequest):
            planned = plan.chat(request, loaded.running, most)
        elif isinstance(request, CompletionRequest):
            planned = plan.text(request, loaded.running, most)
        if self._settings.run_as_internal:  # the gateway counts, and tells those callers who want to know
            planned = replace(planned, include_usage=True, null_usage=False, reports_usage=True)
        return planned, loaded

    async def complete(
        self, route_name: str, body: dict[str, Any], owner: Owner, generation: Generation
    ) -> dict[str, Any]:
        """See Inference."""
        _, answer = await self.open(route_name, msgspec.json.encode({**body, "stream": False}), owner)
        answer.when_begun, generation.counted = generation.begin, answer.usage.body
        return await answer.whole()
