"""What every route function works with."""

from dataclasses import dataclass

from shared.batches.batches import Batches
from shared.catalogue import Catalogue
from shared.files.files import Files
from shared.files.retention import Retention
from shared.files.uploads import Uploads
from shared.jobs.jobs import Jobs
from shared.limits.policy import LimitPolicy
from shared.money.policy import BudgetPolicy
from shared.settings import Settings
from shared.sweeps.quarantine import Quarantine
from shared.sweeps.sweep import Sweeps
from shared.webhooks.webhooks import Webhooks
from shared.wiring import Ports


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    ports: Ports
    catalogue: Catalogue
    jobs: Jobs
    limits: LimitPolicy
    budgets: BudgetPolicy
    files: Files
    batches: Batches
    uploads: Uploads
    retention: Retention
    webhooks: Webhooks
    sweeps: Sweeps
    quarantine: Quarantine
