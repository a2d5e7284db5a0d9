"""What runs a model: a server with OpenAI's HTTP interface that the worker starts, watches and stops."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


class EngineFailed(Exception):
    """The engine cannot run; the message says why."""


class EngineMissing(EngineFailed):
    """A package the engine needs is not installed; the message says which, and how to install it."""


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that has loaded its model: where it answers, and what it can do."""

    base_url: str
    """Without a trailing slash."""
    context: int
    """Tokens one request can hold, prompt and answer together."""
    shared_context: int = 0
    """Tokens that one tenant's running requests can hold together, the engine having a reserve for others besides; 0:
    the engine looks after that itself."""
    calls_tools: bool = True
    """Whether the model's template shows it the tools; when not, a call can only be had by constraining the answer."""
    media: frozenset[str] = frozenset()
    """The types of message parts it takes beside text, such as `image_url`."""
    parameters: frozenset[str] = frozenset()
    """Sampling parameters of its own, beside OpenAI's."""
    events_are_plain: bool = True
    """Whether its events are OpenAI's, but for what Shape knows llama.cpp to add; else each is looked into."""
    model: str = ""
    """The model's name there; empty: the one that callers use."""
    headers: tuple[tuple[str, str], ...] = ()
    """It wants with each request."""
    counting: Mapping[str, Any] = field(default_factory=lambda: NO_FIELDS)
    """Fields of a request by which it tells the tokens so far in each event."""
    counts_tokens_at: str = ""
    """Counts a prompt's tokens, as vLLM does; empty: llama.cpp's way where the context is shared, else not at all."""
    reasons: bool = True
    """Whether the model's template takes a `reasoning_effort`, as far as is known."""
    scores_prompts: bool = False
    """Whether it echoes a text completion's prompt, with the scores of its tokens."""
    takes_grammars: bool = False
    """Whether a call may hold a grammar in llama.cpp's notation."""
    loop_page: str = ""
    """A path that is answered out of the loop in which tokens are made, and so only while that turns; empty: none."""


class Engine(Protocol):
    async def start(self) -> Running:
        """Loads the model, which may take minutes, and returns once the server listens. Raises EngineFailed."""
        ...

    async def ended(self) -> str:
        """Returns, saying how, when a started engine has ended without being told to."""
        ...

    async def stop(self) -> None:
        """Ends the engine within a second, whatever it is doing; what runs on it breaks off."""
        ...
