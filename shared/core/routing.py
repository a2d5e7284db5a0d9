"""Which upstream serves a model: the catalogue, and the order in which its upstreams are tried."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.core.pricing import Price

WORKER = "worker"


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """One server that can answer for a model."""

    url: str
    """Base address without a trailing slash, or `worker` for the platform's own."""
    model: str
    """The model's name at that server."""
    api_key_secret: str = ""
    """Name of the secret that holds the server's key; empty when it needs none."""
    weight: int = 1
    priority: int = 0
    """Lower is tried first."""
    stream_usage: bool = True
    """Whether it takes `stream_options`, by which a server is asked to tell the token counts of a stream."""

    @property
    def is_worker(self) -> bool:
        return self.url == WORKER

    @property
    def tells_usage_when_asked(self) -> bool:
        """The platform's own worker tells it in any case."""
        return self.stream_usage and not self.is_worker


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the catalogue."""

    id: str
    upstreams: tuple[UpstreamTarget, ...]
    kinds: frozenset[str]
    """What it can do: `chat`, `completion`, `embedding`, …"""
    context: int = 0
    """Tokens, input and output together; 0 when not known."""
    owned_by: str = "omni"
    version: str = ""
    """Changed by the operator when its servers get other weights under the same name: the cache then forgets it."""
    price: Price | None = None
    """None: nobody has said what it costs."""
    max_output: int = 0
    """Tokens of its longest answer; 0 when not known."""
    image_tokens: int = 0
    """Of each picture; 0: by its size."""
    audio_tokens_per_s: int = 0
    """Of each second of sound; 0: not known."""
    parameters: frozenset[str] = frozenset()
    """Fields beside the known ones that a caller with a budget or a limit of tokens may send."""

    @property
    def is_own(self) -> bool:
        """Whether none but the platform's own worker answers for it."""
        return all(target.is_worker for target in self.upstreams)

    @property
    def worker(self) -> UpstreamTarget | None:
        """The platform's own among its upstreams, the one that is tried first."""
        return min((each for each in self.upstreams if each.is_worker), key=lambda each: each.priority, default=None)


def attempt_order(upstreams: Sequence[UpstreamTarget], random: Callable[[], float]) -> list[UpstreamTarget]:
    """All upstreams in the order to try them: by priority, then drawn by weight. `random` gives a number in [0, 1)."""
    if len(upstreams) == 1:
        return list(upstreams)
    keyed = [(target.priority, -(random() ** (1 / target.weight)), target) for target in upstreams if target.weight > 0]
    return [target for *_, target in sorted(keyed, key=lambda row: row[:2])]
