"""The gateway's errands to the limiter: one at a time for the whole process; whoever needs something joins the next.

What nobody waits for goes along with the next errand: blocks that were not used up, settlements, slots that are not
needed, the heartbeat of those that are. Only if none leaves in time it is an errand of its own.
"""

import asyncio
from dataclasses import dataclass, field

from shared import telemetry
from shared.core.allowance import Allowance
from shared.core.limits import HEARTBEAT_S
from shared.core.quota import Holdings
from shared.core.slots import HeldSlots
from shared.limits.admission import Admission
from shared.ports.clock import Clock
from shared.ports.limiter import Limiter

PAUSE_S = 1.0
MOST_AT_ONCE = 200
"""Allowances settled in one errand."""
LONGEST_ERRAND_S = 2.0
"""The limiter's own timeouts are shorter; this ends what they do not cover, such as the look-up of a name."""


@dataclass(slots=True)
class Batch:
    """What the next errand is for, as long as it has not left."""

    loop: asyncio.AbstractEventLoop
    allowances: dict[Allowance, None] = field(default_factory=dict)
    slots: dict[HeldSlots, None] = field(default_factory=dict)


class Leasing:
    def __init__(self, admission: Admission, limiter: Limiter, clock: Clock, pause_s: float = PAUSE_S) -> None:
        self._admission = admission
        self._limiter = limiter
        self._now = clock.monotonic
        self._pause_s = pause_s
        self._batch: Batch | None = None
        self._errand: asyncio.Task[None] | None = None
        """The batch's, or the last one that left."""
        self._under_way: tuple[asyncio.Task[None], Batch] | None = None
        """The one that has left and is not back."""
        self._keeper: asyncio.Task[None] | None = None
        self._open: set[Allowance] = set()
        """May have something to settle."""
        self._slots: set[HeldSlots] = set()
        self._beat_at = 0.0
        self._was_shared = True

    async def fetch(self, missing: Holdings) -> None:
        """Asks the limiter for what a request lacks, or waits until what was asked for before has come."""
        if not self.fetch_now(missing):
            await asyncio.shield(self._on_its_way(missing) or self._join(missing))
            self._keep(missing)

    def fetch_now(self, missing: Holdings) -> bool:
        """The same where the limiter answers from memory; False where it has to be waited for."""
        if self._limiter.blocks:
            return False
        errand = self._admission.errand(missing)
        errand.deliver(errand.run())
        self._keep(missing)
        return True

    def hand_back(self, left: Holdings) -> None:
        """A request has ended: what it left may be of use to another instance."""
        if not self._limiter.blocks:
            return
        instances = self._limiter.instances
        if slots := tuple(held for held in left.slots if held.has_too_many(instances)):
            self._join(Holdings(slots=slots))
        self._keep(left)

    def _on_its_way(self, missing: Holdings) -> asyncio.Task[None] | None:
        """The errand that brings some of it. To ask again meanwhile would take back at once what that one brings."""
        if self._under_way is None or self._under_way[1].allowances.keys().isdisjoint(missing.allowances):
            return None
        return self._under_way[0]

    def _join(self, holdings: Holdings) -> asyncio.Task[None]:
        """The errand that will have been done for these holdings."""
        loop = asyncio.get_running_loop()
        if self._batch is None or self._errand is None or self._batch.loop is not loop:
            self._batch = Batch(loop)
            self._errand = loop.create_task(self._run(self._batch, self._errand))
        self._batch.allowances |= dict.fromkeys(holdings.allowances)
        self._batch.slots |= dict.fromkeys(holdings.slots)
        return self._errand

    async def _run(self, batch: Batch, previous: asyncio.Task[None] | None) -> None:
        if previous and not previous.done():
            await asyncio.wait([previous])
        self._batch = None
        self._add_what_is_due(batch, self._now())
        self._under_way = asyncio.ensure_future(self._go(batch)), batch
        try:
            await self._under_way[0]
        finally:
            self._under_way = None

    async def _go(self, batch: Batch) -> None:
        errand = self._admission.errand(Holdings(tuple(batch.allowances), tuple(batch.slots)))
        running = asyncio.ensure_future(asyncio.to_thread(errand.run))
        done, _ = await asyncio.wait([running], timeout=LONGEST_ERRAND_S)
        if not done:
            self._limiter.give_up(f"no answer within {LONGEST_ERRAND_S:g} s")
        errand.deliver(running.result() if done else errand.run())
        telemetry.LIMITER_EXCHANGES.inc()

    def _add_what_is_due(self, batch: Batch, now: float) -> None:
        """What would soon need an errand of its own goes along."""
        if len(self._open) <= MOST_AT_ONCE:
            waiting = {each.limit.subject for each in batch.allowances if each.is_waited_for}
            due = [each for each in self._open if each.renew(now, waiting) or each.is_unsettled(now)]
            batch.allowances |= dict.fromkeys(due)
        if len(self._slots) <= MOST_AT_ONCE and now - self._beat_at >= HEARTBEAT_S / 2:
            self._beat_at = now
            batch.slots |= dict.fromkeys(self._slots)

    def _keep(self, holdings: Holdings) -> None:
        if not (self._limiter.blocks or self._limiter.degraded):
            return
        self._open.update(holdings.allowances)
        self._slots.update(holdings.slots)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep_up())

    async def _keep_up(self) -> None:
        while self._open or self._slots:
            await asyncio.sleep(self._pause_s)
            if self._limiter.blocks:
                await self._settle(self._now())
            self._was_shared = self._limiter.blocks

    async def _settle(self, now: float) -> None:
        is_due = now - self._beat_at >= HEARTBEAT_S or not self._was_shared
        if is_due:
            self._beat_at = now
        slots = tuple(
            held for held in self._slots if held.look(self._limiter.instances) or (is_due and self._beats(held))
        )
        unsettled = [allowance for allowance in self._open if allowance.is_unsettled(now)]
        self._open = {allowance for allowance in self._open if not allowance.is_idle(now)}
        if slots:
            self._join(Holdings(slots=slots))
        for first in range(0, len(unsettled), MOST_AT_ONCE):
            await asyncio.shield(self._join(Holdings(tuple(unsettled[first : first + MOST_AT_ONCE]))))
        self._slots = {held for held in self._slots if not held.is_idle(now)}

    def _beats(self, held: HeldSlots) -> bool:
        """Unused slots may lapse; but what was claimed while nothing was shared, the limiter does not know of yet."""
        return held.in_use > 0 or not self._was_shared
