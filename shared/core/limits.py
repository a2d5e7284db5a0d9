"""What a limit is, and what an instance and the limiter that all instances share say to each other.

The promise: in every window, over all instances, what is admitted is at most the limit. An instance *leases* a block of
units and spends it from memory for `lease_s`. The limiter counts the block in the sub-window in which its lease ends;
with its next ask the instance *settles*: it takes the block back from there and has each unit counted in the
sub-window in which it was really spent. At no time is a unit counted in an earlier sub-window than that of its use.
"""

from dataclasses import dataclass
from enum import StrEnum

SLOT_LEASE_S = 25.0
"""A killed instance's slots are free again so long after its last claim: within 30 s in any case."""
HEARTBEAT_S = 8.0
"""How often claims are repeated."""


class Kind(StrEnum):
    """What a limit counts; the values stand in headers, metrics and keys."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    DAILY_REQUESTS = "daily-requests"
    CONCURRENT_REQUESTS = "concurrent-requests"


@dataclass(frozen=True, slots=True)
class Window:
    """Lengths in microseconds, so that sub-windows are told apart exactly."""

    length_us: int
    sub_window_us: int
    """A whole part of the length. Units expire up to so much later than a window after their use."""
    lease_us: int

    @property
    def length_s(self) -> float:
        return self.length_us / 1e6

    @property
    def lease_s(self) -> float:
        return self.lease_us / 1e6

    @property
    def sub_windows(self) -> int:
        """How many sub-windows a window has."""
        return self.length_us // self.sub_window_us

    def index(self, now: float) -> int:
        """The number of the sub-window at `now`, in seconds."""
        return round(now * 1e6) // self.sub_window_us


MINUTE = Window(60_000_000, 100_000, 1_000_000)
DAY = Window(86_400_000_000, 144_000_000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one subject may use of everything; 0 means no limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent_requests: int = 0
    requests_per_day: int = 0
    strict: bool = False
    """Whether requests are refused while no limiter is shared, rather than limited by each instance for itself."""

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(
            self.requests_per_minute or self.tokens_per_minute or self.concurrent_requests or self.requests_per_day
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """How much one subject may use of one thing."""

    subject: str
    """`key:<id>`, `tenant:<name>` or `model:<id>`."""
    kind: Kind
    amount: int
    """Units in each window, or at the same time; at least 1."""
    strict: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.subject}"

    @property
    def owner(self) -> str:
        """`key`, `tenant` or `model`."""
        return self.subject.partition(":")[0]

    @property
    def label(self) -> str:
        """What headers call it: `tokens` of a key, `tenant-tokens`, `model-tokens`."""
        return self.kind if self.owner == "key" else f"{self.owner}-{self.kind}"

    @property
    def window(self) -> Window:
        return DAY if self.kind is Kind.DAILY_REQUESTS else MINUTE

    @property
    def policy(self) -> str:
        """The limit as an item of the header `RateLimit-Policy`."""
        if self.kind is Kind.CONCURRENT_REQUESTS:
            return f'"{self.label}";q={self.amount};qu="concurrent-requests"'
        return f'"{self.label}";q={self.amount};w={self.window.length_s:.0f}'


Units = tuple[tuple[int, int], ...]
"""Sub-windows, by number, and how many units each."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An instance settles what it had of a limit in a window, and leases more."""

    limit: Limit
    least: int = 0
    """Fewer than these would be of no use; 0 only settles."""
    most: int = 0
    returned: Units = ()
    """No longer counted there, as far as they still are."""
    charged: Units = ()
    """Counted there, whether the limit has room or not."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to an ask. A refusal is `granted == 0`, never an exception."""

    granted: int
    ceiling: int
    """The limit it was measured by."""
    free: int
    """What the limit has left."""
    sub_window: int
    """Where the granted units are counted until they are settled."""
    retry_after_s: float
    """Until `least` more units can be granted; 0 when all that was asked for was granted."""
    reset_s: float
    """Until the whole limit is free again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An instance says how many slots of a limit on concurrent requests it uses, and how many it would like to hold.

    It replaces the instance's earlier claim, and lapses after SLOT_LEASE_S unless it is repeated.
    """

    limit: Limit
    in_use: int
    """Granted in any case."""
    want: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the asks and the claims, in their order."""

    now: float
    """The limiter's time, in seconds: sub-windows are numbered by it."""
    grants: tuple[Grant, ...] = ()
    held: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trip:
    """An exchange with the limiter: when it was, on the instance's own monotonic clock, and what it told beside."""

    sent_at: float
    back_at: float
    limiter_time: float
    instances: int
