"""A batch of a revoked key ends with what it has got done."""

from typing import Any

import pytest

from shared.core.batches import KEY_REVOKED, Batch, Status
from shared.core.jobs import State
from shared.jobs.revoked_keys import FRESH_S
from tests.batches.conftest import World, echo, lines
from tests.managed_keys import KeyOffice


class Owned:
    """A batch of a key that can be revoked."""

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.office = KeyOffice(world.ports.store)
        self.key_id, _ = self.office.new(tenant="acme")
        self.batch = world.batch(lines(count), key_id=self.key_id)

    def revoke(self) -> None:
        self.office.revoke(self.key_id)
        self.world.clock.advance(FRESH_S + 1)

    def now(self) -> Batch:
        return self.world.now(self.batch)


def codes(errors: list[dict[str, Any]]) -> set[str]:
    return {each["error"]["code"] for each in errors}


def test_a_batch_that_nobody_has_looked_at_answers_no_line(world: World) -> None:
    owned = Owned(world, 3)
    owned.revoke()
    world.work()
    assert (owned.now().status, owned.now().mistakes) == (Status.CANCELLED, (KEY_REVOKED,))
    assert world.asked == []


@pytest.mark.parametrize("is_told", [True, False], ids=["by the route", "by its workers"])
def test_a_batch_in_progress_returns_what_is_answered(world: World, *, is_told: bool) -> None:
    """350 lines are four chunks; the key is revoked while the first of them is answered."""
    owned = Owned(world, 350)

    async def revoking(body: dict[str, Any]) -> dict[str, Any]:
        if len(world.asked) == 1:
            owned.revoke()
            if is_told:
                world.batches.end_with_key("acme", owned.key_id)
        return await echo(body)

    world.model = revoking
    world.work()
    done = owned.now()
    assert (done.status, done.mistakes) == (Status.CANCELLED, (KEY_REVOKED,))
    answers, errors = world.output(done), world.output(done, "error")
    assert len(answers) + len(errors) == 350
    assert 0 < len(answers) < 350
    assert codes(errors) == {"key_revoked"}
    assert done.tokens
    assert done.tokens.output == 2 * len(answers)


def test_the_schedule_ends_a_batch_whose_steps_all_wait(world: World) -> None:
    owned = Owned(world, 2)
    owned.revoke()
    world.batches.sweep()
    assert [step.state for step in world.steps(owned.batch) if step.task == "batch_plan"] == [State.CANCELLED]
    world.work()
    assert owned.now().status is Status.CANCELLED
