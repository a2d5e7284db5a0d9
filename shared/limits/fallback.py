"""The shared limiter, and what to do without it: each instance keeps its part of every limit by itself.

What the shared limiter grants to this instance is counted here, too. So when it is lost, the instance's part is less
what it has just used; and when it is back, it is told what was used meanwhile, or everything if it lost its counts.
It is looked for in the background, never by a request.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from shared import telemetry
from shared.core.errors import Unavailable
from shared.core.limits import Answer, Ask, Claim, Grant, Limit
from shared.ports.clock import Clock
from shared.ports.limiter import SharedLimiter

log = logging.getLogger("omni.limits")

PROBE_EVERY_S = 1.0
MOST_TOLD = 50
"""Limits told of in one exchange."""


class SharedTime:
    """The shared limiter's time, as far as it is known from its answers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()

    def now(self) -> float:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._offset

    def learn(self, limiter_time: float) -> None:
        self._offset = limiter_time - self._clock.monotonic()


class Account(Protocol):
    """A limiter of this process alone."""

    def exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer: ...

    def counted(self) -> list[Ask]:
        """All that counts now, as asks that make another limiter count it, too."""
        ...


class FallbackLimiter:
    def __init__(
        self,
        connect: Callable[[], SharedLimiter],
        account: Account,
        time: SharedTime,
        instances: int,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        """`account` runs on `time`. So many `instances` are assumed until the shared limiter was reached once."""
        self._connect = connect
        self._account = account
        self._time = time
        self._probe_every_s = probe_every_s
        self._shared: SharedLimiter | None = None
        self._epoch = ""
        self._known: list[Ask] = []
        """While it is lost: what the shared limiter knows of this instance's use."""
        self._lock = threading.Lock()
        self.degraded = False
        self.instances = instances

    @property
    def blocks(self) -> bool:
        return not self.degraded

    def exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        while True:
            if not self.degraded:
                try:
                    return self._together(asks, claims)
                except Unavailable as error:
                    asks = self._settled(asks)
                    self.give_up(error.detail)
            with self._lock:
                if self.degraded:
                    return self._alone(asks, claims)

    def give_up(self, reason: str) -> None:
        """Does without the shared limiter from now on, until it is found again."""
        with self._lock:
            if self.degraded:
                return
            self._known = self._account.counted()
            self.degraded = True
        telemetry.LIMITER_DEGRADED.set(1)
        fields = {"reason": reason, "instances": self.instances}
        log.warning("limits are kept by each instance for itself", extra={"fields": fields})
        threading.Thread(target=self._look_for_it, name="limiter-probe", daemon=True).start()

    def _together(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        shared = self._reach()
        answer = shared.exchange(asks, claims)
        if self._epoch not in {"", shared.epoch}:
            _tell(shared, self._account.counted())
            answer = shared.exchange(
                [_again(ask, grant) for ask, grant in zip(asks, answer.grants, strict=True)], claims
            )
        self._learn(shared, answer)
        self._account.exchange([_noted(ask, grant) for ask, grant in zip(asks, answer.grants, strict=True)], [])
        return answer

    def _settled(self, asks: Sequence[Ask]) -> list[Ask]:
        """The asks without their settlements: these may have been made before the answer was lost, and are never told
        again."""
        self._account.exchange([replace(ask, least=0, most=0) for ask in asks], [])
        return [replace(ask, returned=(), charged=()) for ask in asks]

    def _alone(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        return self._account.exchange(
            [replace(ask, limit=self._part(ask.limit), most=0 if ask.limit.strict else ask.most) for ask in asks],
            [replace(claim, limit=self._part(claim.limit)) for claim in claims],
        )

    def _part(self, limit: Limit) -> Limit:
        """This instance's part, but always one unit: a small limit must not lock its key out."""
        return replace(limit, amount=max(1, limit.amount // self.instances))

    def _reach(self) -> SharedLimiter:
        if self._shared is None:
            self._shared = self._connect()
        return self._shared

    def _learn(self, shared: SharedLimiter, answer: Answer) -> None:
        self._epoch, self.instances = shared.epoch, max(1, shared.instances)
        self._time.learn(answer.now)

    def _look_for_it(self) -> None:
        pause = threading.Event()
        while not self._found():
            pause.wait(self._probe_every_s)
        telemetry.LIMITER_DEGRADED.set(0)
        log.info("limits are shared again", extra={"fields": {"instances": self.instances}})

    def _found(self) -> bool:
        """Tells the shared limiter what it missed, the last of it while nothing is granted here, and returns to it."""
        try:
            shared = self._reach()
            answer = shared.exchange([], [])
            if self._epoch != shared.epoch:
                self._known = []
            self._tell_what_it_missed(shared, answer)
            with self._lock:
                self._tell_what_it_missed(shared, answer)
                self._learn(shared, answer)
                self.degraded = False
        except Unavailable:
            return False
        return True

    def _tell_what_it_missed(self, shared: SharedLimiter, answer: Answer) -> None:
        counted = self._account.counted()
        missed = _more(counted, self._known)
        if not self._epoch:  # never reached: sub-windows were numbered by this machine's time
            missed = [_all_at(ask, ask.limit.window.index(answer.now)) for ask in missed]
        _tell(shared, missed)
        self._known = counted


def _tell(shared: SharedLimiter, asks: Sequence[Ask]) -> None:
    worth_telling = [ask for ask in asks if ask.charged or ask.returned]
    for first in range(0, len(worth_telling), MOST_TOLD):
        shared.exchange(worth_telling[first : first + MOST_TOLD], [])


def _noted(ask: Ask, grant: Grant) -> Ask:
    """Settles as the ask does, and counts what was granted."""
    leased = ((grant.sub_window, grant.granted),) if grant.granted else ()
    return Ask(ask.limit, returned=ask.returned, charged=(*ask.charged, *leased))


def _again(ask: Ask, grant: Grant) -> Ask:
    """The same ask once more, in place of what was granted: it is settled already."""
    return replace(ask, returned=((grant.sub_window, grant.granted),), charged=())


def _all_at(ask: Ask, sub_window: int) -> Ask:
    return replace(ask, returned=(), charged=((sub_window, sum(units for _, units in ask.charged)),))


def _more(counted: Sequence[Ask], known: Sequence[Ask]) -> list[Ask]:
    """What makes one who counts what is known count this."""
    before = {ask.limit.name: dict(ask.charged) for ask in known}
    return [_beyond(ask, before.get(ask.limit.name, {})) for ask in counted]


def _beyond(ask: Ask, known: dict[int, int]) -> Ask:
    counted = dict(ask.charged)
    change = {at: counted.get(at, 0) - known.get(at, 0) for at in {*counted, *known}}
    return replace(
        ask,
        returned=tuple((at, -units) for at, units in change.items() if units < 0),
        charged=tuple((at, units) for at, units in change.items() if units > 0),
    )
