"""The tokens of one answer, added up over the calls it took, while they are generated."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec


class CallUsage(NamedTuple):
    """Tokens of one of the engine's calls so far."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0


NOTHING = CallUsage()


@dataclass(slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    _calls: dict[int, CallUsage] = field(default_factory=dict)
    _read: dict[int, int] = field(default_factory=dict)

    def note_read(self, call: int, tokens: int) -> None:
        """The engine has read so many tokens for the call and counts them as cached when it comes."""
        self._read[call] = tokens

    def note(self, call: int, found: CallUsage) -> None:
        """The engine tells the tokens of a call so far; those of a prompt that another call counts are 0."""
        found = found._replace(cached=max(0, found.cached - self._read.get(call, 0)))
        before = self._calls.get(call, NOTHING)
        self._calls[call] = found
        self.prompt_tokens += found.prompt - before.prompt
        self.completion_tokens += found.completion - before.completion
        self.cached_tokens += found.cached - before.cached

    def count(self, call: int, tokens: int) -> None:
        """So many more of a call whose engine tells no count meanwhile."""
        before = self._calls.get(call, NOTHING)
        self.note(call, before._replace(completion=before.completion + tokens))

    def body(self) -> dict[str, Any]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


class UsageComments:
    """Tells the gateway, in comments between the events, the tokens that it could not count by the events: of prompts,
    of calls that are held back, of characters that take several. Who leaves then is charged for what was made."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._known = (0, 0)
        """What the gateway knows of prompt and completion."""

    def added(self, block: bytes) -> bytes:
        """The block of events, with a comment if its reader would otherwise count wrong."""
        prompt, completion = self._known
        self._known = self._usage.prompt_tokens, self._usage.completion_tokens
        if (prompt, completion + block.count(b"\n\n")) == self._known:
            return block
        return block + b": %b\n\n" % msgspec.json.encode({"usage": self._usage.body()})
