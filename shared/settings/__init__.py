"""Every knob of the platform, a file a subject, and the only code that reads the environment.

Secrets are not here: they come through the secrets port, so that printing the settings shows nothing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shared.settings.jobs import Jobs, RevokedWork
from shared.settings.knob import SettingsError, parse
from shared.settings.limits import Limits
from shared.settings.process import Process
from shared.settings.requests import Requests
from shared.settings.services import IdentitySource, QueueKind, SecretSource, Services, StateKeeper, TokenCheck
from shared.settings.worker import Worker

__all__ = [
    "SUBJECTS", "IdentitySource", "QueueKind", "RevokedWork", "SecretSource", "Settings", "SettingsError",
    "StateKeeper", "TokenCheck", "child_environment", "environment",
]  # fmt: skip
PASSED_ON = frozenset(
    {"PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SHELL", "TERM", "HOSTNAME", "VIRTUAL_ENV"}
    | {"LD_LIBRARY_PATH", "LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "SSL_CERT_FILE"}
)
PASSED_ON_PREFIXES = (
    *("LC_", "XDG_", "CUDA_", "NVIDIA_", "NCCL_", "GOMP_", "OMP_", "KMP_", "MKL_", "HIP_", "ROCR_", "HF_", "TORCH"),
    *("PYTORCH_", "TRITON_", "VLLM_", "SGLANG_", "SGL_", "OLLAMA_", "LLAMA_ARG_", "GGML_", "TRANSFORMERS_"),
)
SECRET_SIGNS = ("TOKEN", "KEY", "SECRET", "PASSW", "CREDENTIAL", "AUTH")
"""In names of variables that are not passed on, whatever program they are for."""
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


def child_environment() -> Mapping[str, str]:
    """What a program that is started from here gets of the environment: no secret, and nothing of the platform's."""
    return {name: value for name, value in os.environ.items() if _is_passed_on(name)}


def _is_passed_on(name: str) -> bool:
    is_known = name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    return is_known and not any(sign in name.upper() for sign in SECRET_SIGNS)
