"""What every route function works with."""

from dataclasses import dataclass

from shared.catalogue import Catalogue
from shared.jobs import Jobs
from shared.limit_policy import LimitPolicy
from shared.settings import Settings
from shared.wiring import Ports


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    ports: Ports
    catalogue: Catalogue
    jobs: Jobs
    limits: LimitPolicy
