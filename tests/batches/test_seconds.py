"""A batch on a model that is priced by the second, and one whose budget has room for a part of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.tasks.batch_chunk import BatchChunk
from shared.core.batches import Status
from shared.core.budgets import Budget, Ledger, day_of
from shared.core.pricing import NANO
from shared.money import ledgers
from shared.money.policy import Applies
from tests.batches.conftest import MODEL, World, lines

SECOND = NANO // 10
"""Nano-dollars."""
LINE_S = 600
"""How long a request to the route may take."""
CATALOGUE = f"""
[[model]]
id = "{MODEL}"
upstreams = [{{ worker = true }}]
price = {{ per_second = 0.1, per_request = 0.05 }}
context = 1000
"""
REQUEST = NANO // 20


@pytest.fixture
def world(tmp_path: Path) -> World:
    catalogue = tmp_path / "models.toml"
    catalogue.write_text(CATALOGUE)
    return World(tmp_path / "state", models_file=catalogue, max_output_tokens=10)


def budget(nano: int) -> tuple[Applies, ...]:
    return (Applies("key:k", Budget(daily=nano)),)


def ledger(world: World) -> Ledger:
    return ledgers.Ledgers(world.ports.store).get("key:k", day_of(world.clock.now())[:7])


def test_each_line_reserves_the_seconds_that_it_may_take(world: World) -> None:
    batch = world.batch(lines(12), budgets=budget(10_000 * NANO))
    world.work()
    charge = world.now(batch).charge
    assert charge is not None
    assert charge["reserved"] == {"key:k": 12 * (LINE_S * SECOND + REQUEST)}
    assert ledger(world).month_spent >= 12 * REQUEST
    assert sum(ledger(world).reserved.values()) == 0


def test_a_batch_does_not_begin_when_the_budget_is_spent(world: World) -> None:
    world.batch(lines(2), budgets=budget(2 * REQUEST))
    world.work()
    assert ledger(world).month_spent >= 2 * REQUEST
    batch = world.batch(lines(12), budgets=budget(2 * REQUEST))
    world.asked.clear()
    world.work()
    failed = world.now(batch)
    assert (failed.status, [each.code for each in failed.mistakes]) == (Status.FAILED, ["budget_exceeded"])
    assert world.asked == []


def test_a_batch_with_room_for_a_part_answers_that_part(world: World) -> None:
    batch = world.batch(lines(60), budgets=budget(10 * REQUEST))
    world.work()
    done = world.now(batch)
    slots = world.settings.worker_slots
    assert done.counts is not None
    assert 9 <= done.counts.completed < 10 + slots
    refused = world.output(batch, "error")
    assert len(refused) == 60 - done.counts.completed
    assert {line["response"]["body"]["error"]["code"] for line in refused} == {"budget_exceeded"}
    assert ledger(world).month_spent <= (10 + slots) * (REQUEST + SECOND)


def test_a_line_is_cut_off_at_the_time_that_it_reserved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forever(_: dict[str, Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(BatchChunk, "_timeout_s", lambda *_: 0.01)
    monkeypatch.setattr("jobs.ml_worker.tasks.batch_chunk.TRIES", 1)
    world.model = forever
    batch = world.batch(lines(3), budgets=budget(10_000 * NANO))
    world.work()
    assert world.now(batch).status is Status.COMPLETED
    assert {line["response"]["body"]["error"]["code"] for line in world.output(batch, "error")} == {"timeout"}
    assert ledger(world).month_spent == 0
