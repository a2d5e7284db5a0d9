"""What a batch costs: reserved before it runs, charged once at its end, for the lines that are in its output."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.core.batches import Batch, Counts, Status
from shared.core.budgets import Budget, Ledger, day_of
from shared.core.jobs import Failed, JobError
from shared.jobs.charges import Terms
from shared.money import ledgers
from shared.money.policy import Applies
from tests.batches.conftest import MODEL, World, echo, lines
from tests.batches.test_life import stopped_after

CATALOGUE = f"""
[[model]]
id = "{MODEL}"
upstreams = [{{ worker = true }}]
price = {{ input = 1000, output = 2000, cached_input = 500, per_request = 0.01 }}
context = 1000
"""
NANO = 10**9
LINE = NANO // 100 + 2_000_000 + 500_000 + 4_000_000
"""Nano-dollars of an answer of two tokens to three, one of them cached."""
UNFINISHED = 2_000_000 + 500_000 + 2_000_000
"""Of its first token."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    catalogue = tmp_path / "models.toml"
    catalogue.write_text(CATALOGUE)
    return World(tmp_path / "state", models_file=catalogue, max_output_tokens=10)


def begun(world: World, count: int, dollars: float) -> Batch:
    budgets = (Applies("key:k", Budget(monthly=int(dollars * NANO))),)
    return world.batch(lines(count), budgets=budgets)


def ledger(world: World) -> Ledger:
    return ledgers.Ledgers(world.ports.store).get("key:k", day_of(world.clock.now())[:7])


def test_a_finished_batch_is_charged_once_and_nothing_stays_reserved(world: World) -> None:
    batch = begun(world, 150, dollars=10_000)
    world.work()
    world.batches.sweep()
    world.work()
    assert world.now(batch).counts == Counts(150, 150, 0)
    assert ledger(world).month_spent == 150 * LINE
    assert sum(ledger(world).reserved.values()) == 0


def test_what_it_can_cost_is_reserved_while_it_runs(world: World) -> None:
    begun(world, 100, dollars=10_000)
    stopped_after(world, 20)
    assert ledger(world).month_spent == 0
    assert sum(ledger(world).reserved.values()) >= 100 * LINE


def test_a_cancelled_batch_is_charged_for_what_was_answered(world: World) -> None:
    batch = begun(world, 100, dollars=10_000)
    stopped_after(world, 40)
    world.batches.cancel("acme", batch.id)
    world.work()
    done = world.now(batch)
    assert done.status is Status.CANCELLED
    assert done.counts is not None
    assert ledger(world).month_spent == done.counts.completed * LINE > 0
    assert sum(ledger(world).reserved.values()) == 0


def test_a_batch_for_which_nothing_is_left_does_not_begin(world: World) -> None:
    batch = begun(world, 100, dollars=0)
    world.work()
    failed = world.now(batch)
    assert (failed.status, [each.code for each in failed.mistakes]) == (Status.FAILED, ["budget_exceeded"])
    assert world.asked == []


def test_a_plan_that_breaks_after_reserving_gives_it_back(world: World) -> None:
    batch = begun(world, 5, dollars=10_000)
    step = world.claimed(world.steps(batch)[0])
    terms = Terms(None, NANO, (Applies("key:k", Budget(monthly=10 * NANO)),))
    world.batches.reserve(batch, MODEL, 5, terms)
    world.jobs.finish(step, Failed(JobError("broken", "Broken.", retryable=False)))
    assert sum(ledger(world).reserved.values()) > 0
    world.batches.sweep()
    world.work()
    assert world.now(batch).status is Status.CANCELLED
    assert (ledger(world).month_spent, sum(ledger(world).reserved.values())) == (0, 0)


def test_lines_in_flight_of_a_cancelled_batch_are_charged_for_what_was_made(tmp_path: Path) -> None:
    catalogue = tmp_path / "models.toml"
    catalogue.write_text(CATALOGUE)
    world = World(tmp_path / "state", models_file=catalogue, max_output_tokens=10, lease_s=0.3, worker_slots=4)
    batch = begun(world, 100, dollars=10_000)

    async def stall_after_ten(body: dict[str, Any]) -> dict[str, Any]:
        if len(world.asked) <= 10:
            return await echo(body)
        if len(world.asked) == 13:  # as many as run at once beside callers
            await asyncio.to_thread(world.batches.cancel, "acme", batch.id)
        return await asyncio.Future()

    world.model = stall_after_ten
    world.work()
    done = world.now(batch)
    assert (done.status, done.counts) == (Status.CANCELLED, Counts(100, 10, 90))
    assert {each["error"]["code"] for each in world.output(batch, "error")} == {"batch_cancelled"}
    assert ledger(world).month_spent == 10 * LINE + 3 * UNFINISHED
    assert sum(ledger(world).reserved.values()) == 0


def test_lines_in_flight_of_a_stopped_worker_are_done_again_and_charged_once(world: World) -> None:
    begun(world, 100, dollars=10_000)
    stopped_after(world, 20)
    world.work()
    assert ledger(world).month_spent == 100 * LINE
