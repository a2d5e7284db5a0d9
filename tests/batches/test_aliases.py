"""A row of the catalogue whose id is not the worker's own name for the model."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.slots import Slots
from jobs.ml_worker.workshop import Workshop
from shared.core.budgets import Budget, day_of
from shared.core.jobs import State
from shared.core.pricing import NANO
from shared.jobs.charges import terms
from shared.jobs.orders import JobOrder
from shared.jobs.wakeups import WakeUp
from shared.money.ledgers import Ledgers
from shared.money.policy import Applies
from shared.money.usage import UsageRecords
from tests.batches.conftest import World, line

NAME = "org/weights-135m"
CATALOGUE = f"""
[[model]]
id = "plain"
upstreams = [{{ worker = true, model = "{NAME}" }}]
price = {{ per_request = 1 }}

[[model]]
id = "fast"
upstreams = [{{ url = "http://127.0.0.1:1/v1", model = "other" }}, {{ worker = true, model = "{NAME}" }}]
price = {{ per_request = 2 }}
"""


class Named(World):
    """Whose worker serves one model, and answers by that name."""

    def __init__(self, folder: Path) -> None:
        catalogue = folder / "models.toml"
        catalogue.write_text(CATALOGUE)
        super().__init__(folder / "state", models_file=catalogue)
        self.names: set[str] = set()
        self.model = self.answer

    async def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        self.names.add(body["model"])
        return {"model": body["model"], "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}

    def spent(self) -> int:
        return Ledgers(self.ports.store).get("key:k", day_of(self.clock.now())[:7]).month_spent

    def used(self) -> set[str]:
        return {whose.model for whose in UsageRecords(self.ports.store, 30).sums("2000-01-01", "2100-01-01", None)}


BUDGET = (Applies("key:k", Budget(daily=10_000_000 * NANO)),)


@pytest.fixture
def world(tmp_path: Path) -> Named:
    return Named(tmp_path)


@pytest.mark.parametrize(("model", "price"), [("plain", 1), ("fast", 2)])
def test_a_job_asks_by_the_workers_name_and_answers_by_the_callers(world: Named, model: str, price: int) -> None:
    workshop = Workshop(world.settings, world.ports, world, Slots(1))
    given = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    agreed = terms(workshop._catalogue.get(model), NANO, BUDGET)
    job = workshop.jobs.create(JobOrder("acme", "k", "chat_completions", model, given, 60.0, terms=agreed))
    asyncio.run(workshop.runner(lambda: True).run(WakeUp(job.id, 1)))
    done = workshop.jobs.get("acme", job.id)
    assert (done.state, done.error) == (State.SUCCEEDED, None)
    assert (world.names, done.result and done.result["model"]) == ({NAME}, model)
    assert (world.spent(), world.used()) == (price * NANO, {model})


@pytest.mark.parametrize(("model", "price"), [("plain", 1), ("fast", 2)])
def test_a_batch_asks_by_the_workers_name_and_answers_by_the_callers(world: Named, model: str, price: int) -> None:
    asked = [line(number) for number in range(3)]
    for each in asked:
        each["body"]["model"] = model
    batch = world.batch(asked, budgets=BUDGET)
    world.work()
    assert [each["response"]["body"]["model"] for each in world.output(batch)] == [model] * 3
    assert (world.names, world.now(batch).model) == ({NAME}, model)
    assert (world.spent(), world.used()) == (3 * price * NANO, {model})
