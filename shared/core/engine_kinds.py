"""What can run the worker's model."""

from enum import StrEnum


class EngineKind(StrEnum):
    LLAMA_CPP = "llama_cpp"
    """Embedded; the others are servers of their own."""
    VLLM = "vllm"
    SGLANG = "sglang"
    OLLAMA = "ollama"
    LLAMA_SERVER = "llama_server"
