"""A batch's first step: reads its file, finds every mistake in it, and splits it into chunks."""

import asyncio
from functools import partial
from typing import Any

from jobs.ml_worker.tasks import Done, Report
from shared import manifest
from shared.batch_input import Inspection
from shared.batches import Batches
from shared.catalogue import Catalogue
from shared.core.batches import Batch, Mistake, Status
from shared.files import Files, StoredFile

NO_FILE = Mistake("file_not_found", "The input file is not there any more.", param="input_file_id")


class BatchPlan:
    def __init__(self, batches: Batches, files: Files, catalogue: Catalogue, max_depth: int) -> None:
        self._batches = batches
        self._files = files
        self._catalogue = catalogue
        self._max_depth = max_depth
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
        allowed = None if batch.models is None else frozenset(batch.models)
        check_model = partial(self._catalogue.require_for_jobs, allowed)
        found = Inspection(batch, route, check_model, self._max_depth).of(self._files.read(file))
        if found.mistakes:
            self._batches.refuse(batch, found.mistakes)
        else:
            chunks = found.chunks(batch, file.uri, route.name)
            self._batches.plan(batch, found.model, len(found.starts), chunks)
