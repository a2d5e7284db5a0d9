"""What does the jobs of a worker, as a service and as a Cloud Run job alike."""

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from functools import cached_property

from jobs.ml_worker.catalogue_inference import CatalogueInference
from jobs.ml_worker.inference import Inference
from jobs.ml_worker.runner import Runner
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import WorkerTask, registry
from jobs.ml_worker.tasks.batch_chunk import BatchChunk
from jobs.ml_worker.tasks.batch_finish import BatchFinish
from jobs.ml_worker.tasks.batch_plan import BatchPlan
from shared.batches.batches import CHUNK, FINISH, PLAN, Batches
from shared.catalogue import Catalogue
from shared.files.files import Files
from shared.jobs.jobs import Jobs
from shared.money.policy import BudgetPolicy
from shared.settings import Settings
from shared.wiring import Ports


class Workshop:
    def __init__(self, settings: Settings, ports: Ports, inference: Inference, slots: Slots) -> None:
        self._settings = settings
        self._ports = ports
        self._slots = slots
        self._catalogue = Catalogue.load(settings.models_file)
        self._inference = CatalogueInference(inference, self._catalogue)
        budgets = BudgetPolicy.of(settings, self._catalogue)
        self.jobs = Jobs(ports.store, ports.queue, ports.blobs, ports.clock, settings, budgets=budgets)
        self.batches = Batches(ports.store, self.jobs, ports.clock, settings)

    def runner(self, ready: Callable[[], bool]) -> Runner:
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        lease_s = self._settings.lease_s
        return Runner(self.jobs, self._tasks, self._slots, ready, lease_s, owner, step_ended=self.batches.step_ended)

    @cached_property
    def _tasks(self) -> Mapping[str, WorkerTask]:
        ports, settings, batches = self._ports, self._settings, self.batches
        files = Files(ports.store, ports.blobs, ports.clock)
        return {
            **registry(self._inference),
            PLAN: BatchPlan(batches, files, ports.blobs, self._catalogue, settings),
            CHUNK: BatchChunk(self._inference, batches.records, ports.blobs, self._slots),
            FINISH: BatchFinish(batches, self.jobs, files, ports.blobs, ports.clock),
        }
