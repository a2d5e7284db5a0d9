"""How a chunk's lines share the worker's slots, when they are saved, and when they give way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobs.ml_worker.lines import CAREFUL, LineRun, Pace
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import Paused
from shared.batches.input import Asked
from shared.batches.parts import Result
from shared.core.errors import Unavailable
from shared.core.fairness import Owner

OWNER = Owner("acme")
LINES = [Asked(number, f"r{number}", {}) for number in range(100)]


class Scene:
    """A worker with some slots, one of which the chunk holds, and a place where results are kept."""

    def __init__(self, slots: int = 8, pace: Pace | None = None) -> None:
        self.slots = Slots(slots)
        assert self.slots.try_acquire(OWNER)
        self.saved: list[list[int]] = []
        self.has_saved = asyncio.Event()
        self.begun = 0
        self.most_at_once = 0
        self.most_unsaved = 0
        self.line: Callable[[Asked], Awaitable[None]] = self._quick
        self.run = LineRun(self._answer, self._save, self.slots, OWNER, pace or Pace())
        self._under_way = 0

    @property
    def done(self) -> list[int]:
        return sorted(number for part in self.saved for number in part)

    async def _answer(self, line: Asked) -> Result:
        self.begun += 1
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        self.most_unsaved = max(self.most_unsaved, self.begun - len(self.done))
        try:
            await self.line(line)
        finally:
            self._under_way -= 1
        return Result(line.number, False, b"{}\n")

    async def _save(self, results: list[Result]) -> None:
        await asyncio.sleep(0.001)
        self.saved.append([each.number for each in results])
        self.has_saved.set()

    async def _quick(self, _line: Asked) -> None:
        await asyncio.sleep(0.001)


def through(scene: Scene, lines: Any = LINES) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(30):
            await scene.run.through(lines)

    asyncio.run(scenario())


def test_lines_use_the_free_slots_and_leave_one_to_callers() -> None:
    scene = Scene(slots=8)
    through(scene)
    assert scene.done == list(range(100))
    assert scene.most_at_once == 7
    assert scene.slots.busy == 1


def test_a_busy_worker_still_gives_a_chunk_its_one_slot() -> None:
    scene = Scene(slots=8)
    while any(scene.slots.try_acquire(Owner(tenant)) for tenant in ("globex", "initech")):
        pass
    through(scene)
    assert (scene.most_at_once, scene.done) == (1, list(range(100)))


def test_lines_give_way_to_another_tenants_jobs_that_wait() -> None:
    scene = Scene(slots=8)
    got: list[int] = []

    async def others_come(line: Asked) -> None:
        if line.number == 10:
            jobs = [asyncio.create_task(scene.slots.acquire(Owner("globex"))) for _ in range(4)]
            for job in jobs:
                job.add_done_callback(lambda _: got.append(scene.begun))
            tasks.update(jobs)
        await asyncio.sleep(0.001)

    tasks: set[asyncio.Task[Any]] = set()
    scene.line = others_come
    through(scene)
    assert len(got) == 4
    assert max(got) < 30, "as soon as lines end, not when all have"


def test_a_line_that_stands_still_holds_no_slot_but_its_own() -> None:
    scene = Scene(slots=8)
    stuck, rest_done = asyncio.Event(), asyncio.Event()

    async def first_stands_still(line: Asked) -> None:
        if line.number == 0:
            await stuck.wait()
        elif line.number == 99:
            rest_done.set()

    async def scenario() -> None:
        scene.line = first_stands_still
        running = asyncio.create_task(scene.run.through(LINES))
        await rest_done.wait()
        while scene.slots.busy > 1:  # noqa: ASYNC110 - until the other lines are saved
            await asyncio.sleep(0)
        stuck.set()
        await running

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert scene.done == list(range(100))


def test_no_more_lines_are_begun_than_a_killed_worker_may_cost() -> None:
    scene = Scene(slots=200)
    through(scene)
    assert scene.most_unsaved <= 50
    assert all(len(part) <= 50 for part in scene.saved)


def test_a_careful_run_saves_each_line_before_the_next() -> None:
    scene = Scene(pace=CAREFUL)
    through(scene)
    assert scene.saved == [[number] for number in range(100)]


def test_what_is_done_is_saved_after_a_while_even_if_it_is_little() -> None:
    scene = Scene(slots=1, pace=Pace(save_each_s=0.01))
    saved_meanwhile: list[int] = []

    async def slow_at_the_end(line: Asked) -> None:
        if line.number == 2:
            await scene.has_saved.wait()
            saved_meanwhile.extend(scene.done)

    scene.line = slow_at_the_end
    through(scene, LINES[:3])
    assert saved_meanwhile == [0, 1]


def test_after_its_time_the_chunk_gives_its_slot_up_with_what_it_has() -> None:
    scene = Scene(slots=1, pace=Pace(slice_s=0.05))
    with pytest.raises(Paused):
        through(scene, LINES * 1000)
    assert 0 < len(scene.done) == scene.begun < 100_000


def test_a_model_that_is_away_ends_the_run_with_what_it_has() -> None:
    scene = Scene(slots=1)

    async def away(line: Asked) -> None:
        if line.number == 30:
            raise Unavailable

    scene.line = away
    with pytest.raises(Unavailable):
        through(scene)
    assert scene.done == list(range(30))


def test_a_cancelled_run_saves_what_is_done() -> None:
    scene = Scene(slots=1)

    async def scenario() -> None:
        task = asyncio.ensure_future(scene.run.through(LINES))

        async def stuck(line: Asked) -> None:
            if line.number == 10:
                task.cancel()
                await asyncio.sleep(60)

        scene.line = stuck
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert scene.done == list(range(10))
    assert scene.slots.busy == 1
