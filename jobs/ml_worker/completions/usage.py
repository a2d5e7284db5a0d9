"""The tokens of one answer, added up over the calls it took."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def add(self, told: dict[str, Any], *, with_prompt: bool) -> None:
        """Adds what the engine told of one call; the prompt counts once, however many answers it gets."""
        self.completion_tokens += told["completion_tokens"]
        if with_prompt:
            self.prompt_tokens += told["prompt_tokens"]
            self.cached_tokens += (told.get("prompt_tokens_details") or {}).get("cached_tokens", 0)

    def body(self) -> dict[str, Any]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }
