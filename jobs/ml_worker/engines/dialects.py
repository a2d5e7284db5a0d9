"""The servers with OpenAI's HTTP interface that can be an engine, and what each does in its own way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from jobs.ml_worker.engines.engine import NO_FIELDS
from shared.core.engine_kinds import EngineKind

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
SPIN_BRIEFLY: Mapping[str, str] = MappingProxyType({"GOMP_SPINCOUNT": "300"})
"""How long llama.cpp's threads spin for one another after each step, before they sleep. As it comes they spin for so
long that all of them lose their time when another process takes a core for a moment. Tokens a second on two cores,
as it comes and so: 98 and 88 on a quiet machine, 3 and 23 beside one busy process."""
LLAMA_COUNTING: Mapping[str, Any] = MappingProxyType({"timings_per_token": True})
LLAMA_PARAMETERS = frozenset({"top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "ignore_eos"})


@dataclass(frozen=True, slots=True)
class Dialect:
    command: tuple[str, ...]
    """Starts it. `{weights}`, `{model}` (its name for callers), `{host}`, `{port}`, `{context}`, `{slots}`, `{key}` (it
    has to be sent along)."""
    tool_options: tuple[str, ...] = ()
    """Added when the model knows tools; `{parser}` reads its calls."""
    variables: Mapping[str, str] = field(default_factory=lambda: NO_VARIABLES)
    """Added to its environment; the same placeholders."""
    shares_context: bool = False
    """Whether all slots share `{context}`, and a request that finds no room there fails."""
    health: str = "/health"
    """Answers with 200 once the model can be asked."""
    takes_grammars: bool = False
    """See Running."""
    loop_page: str = ""
    """See Running."""
    counting: Mapping[str, Any] = field(default_factory=lambda: NO_FIELDS)
    """See Running."""
    counts_tokens_at: str = ""
    """Counts a prompt's tokens, as vLLM does; empty: the server is not asked before."""
    scores_prompts: bool = False
    """See Running."""
    parameters: frozenset[str] = frozenset({"top_k", "min_p", "ignore_eos", "repetition_penalty", "min_tokens"})
    """Sampling parameters of its own, beside OpenAI's."""


VLLM = Dialect(
    (
        *("vllm", "serve", "{weights}", "--served-model-name", "{model}", "--host", "{host}", "--port", "{port}"),
        *("--max-num-seqs", "{slots}", "--enable-prompt-tokens-details"),
    ),
    ("--enable-auto-tool-choice", "--tool-call-parser", "{parser}"),
    {"VLLM_NO_USAGE_STATS": "1", "VLLM_API_KEY": "{key}"},
    counting=MappingProxyType({"stream_options": {"include_usage": True, "continuous_usage_stats": True}}),
    counts_tokens_at="/tokenize",
    scores_prompts=True,
)
SGLANG = Dialect(
    (
        *("python3", "-m", "sglang.launch_server", "--model-path", "{weights}", "--served-model-name", "{model}"),
        *("--host", "{host}", "--port", "{port}", "--max-running-requests", "{slots}", "--api-key", "{key}"),
    ),
    ("--tool-call-parser", "{parser}"),
)
OLLAMA = Dialect(
    ("ollama", "serve"),
    variables={
        "OLLAMA_HOST": "{host}:{port}",
        "OLLAMA_ORIGINS": "http://{host}:{port}",
        "OLLAMA_CONTEXT_LENGTH": "{context}",
        "OLLAMA_NUM_PARALLEL": "{slots}",
        "OLLAMA_KEEP_ALIVE": "-1",  # else a model that nobody asks for five minutes is loaded anew
    },
    health="/api/version",
    parameters=frozenset(),
)
LLAMA_SERVER = Dialect(
    (
        *("llama-server", "--model", "{weights}", "--alias", "{model}", "--host", "{host}", "--port", "{port}"),
        *("--ctx-size", "{context}", "--parallel", "{slots}", "--kv-unified", "--jinja"),
    ),
    variables={**SPIN_BRIEFLY, "LLAMA_API_KEY": "{key}"},
    shares_context=True,
    takes_grammars=True,
    loop_page="/slots",
    counting=LLAMA_COUNTING,
    parameters=LLAMA_PARAMETERS,
)
DIALECTS: Mapping[EngineKind, Dialect] = MappingProxyType(
    {
        EngineKind.VLLM: VLLM,
        EngineKind.SGLANG: SGLANG,
        EngineKind.OLLAMA: OLLAMA,
        EngineKind.LLAMA_SERVER: LLAMA_SERVER,
    }
)
