"""Every knob of the platform, a file a subject, and the only code that reads the environment.

Secrets are not here: they come through the secrets port, so that printing the settings shows nothing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shared.settings.jobs import Jobs
from shared.settings.knob import SettingsError, parse
from shared.settings.limits import Limits
from shared.settings.process import Process
from shared.settings.requests import Requests
from shared.settings.services import IdentitySource, QueueKind, SecretSource, Services, StateKeeper, TokenCheck
from shared.settings.worker import Worker

__all__ = [
    "SUBJECTS", "IdentitySource", "QueueKind", "SecretSource", "Settings", "SettingsError", "StateKeeper", "TokenCheck",
    "environment",
]  # fmt: skip
SUBJECTS = (Process, Requests, Services, Limits, Jobs, Worker)


@dataclass(frozen=True)
class Settings(Process, Requests, Services, Limits, Jobs, Worker):
    def route_url(self, name: str) -> str:
        """Where the function of that route answers."""
        return self.routes_url.replace("{name}", name.replace("_", "-"))

    @property
    def is_local(self) -> bool:
        return self.environment == "local"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings an environment gives (the process's own by default); SettingsError names a bad value."""
        given = os.environ if environ is None else environ
        values: dict[str, Any] = {
            each.name: parse(each.metadata["env"], given[each.metadata["env"]], each.default, each.metadata["least"])
            for each in fields(cls)
            if given.get(each.metadata["env"], "") != ""
        }
        return cls(**values)


def environment() -> Mapping[str, str]:
    """The process's environment: for the secrets adapter that reads secrets from it, and for processes that are
    started from here."""
    return os.environ
