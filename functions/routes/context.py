"""What every route function works with."""

from dataclasses import dataclass

from shared.batches import Batches
from shared.budget_policy import BudgetPolicy
from shared.catalogue import Catalogue
from shared.files import Files
from shared.jobs import Jobs
from shared.limit_policy import LimitPolicy
from shared.retention import Retention
from shared.settings import Settings
from shared.uploads import Uploads
from shared.webhooks import Webhooks
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
