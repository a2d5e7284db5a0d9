"""A batch's first step: reads its file, refuses what cannot be answered, and splits the rest into chunks."""

import asyncio
from functools import partial
from typing import Any

import msgspec

from jobs.ml_worker.tasks import Done, Report
from shared import manifest
from shared.batches.batches import Batches, chunk_name, step_id
from shared.batches.input import Findings, Inspection, Worst
from shared.batches.lines import refused
from shared.batches.parts import Parts
from shared.catalogue import Catalogue
from shared.core.batches import Batch, Mistake, Status
from shared.core.errors import BudgetExceeded, PermissionDenied
from shared.core.keys import Tier
from shared.files.files import Files, StoredFile
from shared.jobs.charges import Terms, terms
from shared.money.policy import Applies
from shared.money.worst_case import worst_cost_of
from shared.ports.blobs import Blobs
from shared.settings import Settings
from shared.surfaces.registry import SURFACES

NO_FILE = Mistake("file_not_found", "The input file is not there any more.", param="input_file_id")


class BatchPlan:
    def __init__(self, batches: Batches, files: Files, blobs: Blobs, catalogue: Catalogue, settings: Settings) -> None:
        self._batches = batches
        self._files = files
        self._parts = Parts(blobs)
        self._catalogue = catalogue
        self._max_depth = settings.max_json_depth
        self._max_output = settings.max_output_tokens
        self._routes = {route.path: route for route in manifest.load() if route.kind == "inference"}

    async def __call__(self, given: dict[str, Any], _report: Report, /) -> Done:
        await asyncio.to_thread(self._plan, given["batch_id"])
        return Done({})

    def _plan(self, batch_id: str) -> None:
        batch = self._batches.records.get(batch_id)
        if batch is None or batch.status is not Status.VALIDATING:
            return
        file = self._files.find(batch.input_file_id)
        if file is None:
            self._batches.refuse(batch, [NO_FILE])
            return
        try:
            self._split(batch, file)
        except FileNotFoundError:
            self._batches.refuse(batch, [NO_FILE])

    def _split(self, batch: Batch, file: StoredFile) -> None:
        route = self._routes[batch.endpoint]
        inspection = Inspection(batch, route, self._routes, partial(self._worst, batch), self._max_depth)
        found = inspection.of(self._files.read(file))
        if found.mistakes:
            self._batches.refuse(batch, found.mistakes)
            return
        try:
            planned = self._batches.reserve(batch, found.model, len(found.starts), self._terms(batch, found))
        except (BudgetExceeded, PermissionDenied) as error:
            self._batches.refuse(batch, [Mistake(error.code, error.message)])
            return
        if planned and planned.status is Status.VALIDATING:
            chunks = found.chunks(batch, file.uri, route.name)
            for number, chunk in enumerate(chunks):
                if lines := [refused(batch.id, each.line, each.error) for each in found.refused_of(chunk)]:
                    self._parts.save(batch.id, step_id(batch.id, chunk_name(number)), 0, 0, lines)
            self._batches.start(planned, chunks)

    def _terms(self, batch: Batch, found: Findings) -> Terms:
        if not found.model:  # there is no line to answer
            return Terms(None, 0)
        applying = tuple(msgspec.convert(each, Applies) for each in batch.budgets)
        tier = Tier(batch.tier) if batch.tier else None
        return terms(self._catalogue.get(found.model), found.most, applying, tier)

    def _worst(self, batch: Batch, model_id: str) -> Worst:
        """What lines that ask this model can cost: each may take as long as a request to its route."""
        allowed = None if batch.models is None else frozenset(batch.models)
        model = self._catalogue.require_for_jobs(allowed, model_id, SURFACES[self._routes[batch.endpoint].name].kind)
        price = model.price
        if not batch.budgets or price is None:
            return lambda _: 0
        most_s = self._routes[batch.endpoint].timeout_s
        return lambda body: worst_cost_of(price, model, body, self._max_output, most_s)
