"""The engine that the settings name."""

from jobs.ml_worker.engines.engine import Engine
from jobs.ml_worker.engines.llama_cpp import LlamaCpp
from jobs.ml_worker.engines.openai_http import OpenAIHttp
from jobs.ml_worker.model import NONE
from shared.core.engine_kinds import EngineKind
from shared.ports.secrets import Secrets
from shared.ports.upstream import Upstream
from shared.settings import Settings

KEY = "OMNI_WORKER_ENGINE_KEY"
"""The secret with the key of an engine's server by address, should it want one."""


def chosen(settings: Settings, upstream: Upstream, secrets: Secrets) -> Engine | None:
    """Not started yet; None for a worker without a model."""
    if settings.worker_model == NONE:
        return None
    if settings.worker_engine is EngineKind.LLAMA_CPP:
        return LlamaCpp(settings)
    return OpenAIHttp(settings, upstream, secrets.get(KEY) or "")
