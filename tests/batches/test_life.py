"""A batch from its file to its files: every line once, counted and billed once, however it ends."""

import asyncio
import json
from typing import Any

import pytest

from shared.batches.batches import CHUNK, FINISH
from shared.core.batches import Batch, Counts, Status, chunk_size
from shared.core.errors import Conflict, InvalidRequest, NotFound, Unavailable, UpstreamFailed
from shared.core.jobs import Failed, JobError, State
from shared.jobs.orders import JobFilter
from tests.batches.conftest import World, echo, line, lines

DAY_S = 24 * 3600.0


def ids(found: list[dict[str, Any]]) -> list[str]:
    return sorted(each["custom_id"] for each in found)


def counted(done: Batch) -> tuple[int, int, int]:
    assert done.tokens is not None
    return done.tokens.input, done.tokens.cached, done.tokens.output


def expected(count: int) -> list[str]:
    return sorted(f"r{number}" for number in range(count))


@pytest.mark.parametrize("count", [1, 99, 100, 101, 350])
def test_every_line_is_answered_once(world: World, count: int) -> None:
    batch = world.batch(lines(count))
    world.work()
    done = world.now(batch)
    assert (done.status, done.counts, done.error_file_id) == (Status.COMPLETED, Counts(count, count, 0), None)
    assert counted(done) == (3 * count, count, 2 * count)
    output = world.output(batch)
    assert ids(output) == expected(count)
    assert len(world.asked) == count
    for each in output:
        assert each["response"]["status_code"] == 200
        assert each["response"]["body"]["echo"] == f"say {each['custom_id'][1:]}"
        assert each["error"] is None


def test_the_times_of_a_life_are_told(world: World) -> None:
    batch = world.batch(lines(2), metadata={"a": "b"})
    assert (batch.status, batch.expires_at - batch.created_at) == (Status.VALIDATING, DAY_S)
    world.work()
    done = world.now(batch)
    assert None not in (done.in_progress_at, done.finalizing_at, done.completed_at)
    assert (done.failed_at, done.expired_at, done.cancelling_at, done.cancelled_at) == (None,) * 4
    assert done.metadata == {"a": "b"}


def test_refused_lines_stand_in_the_error_file(world: World) -> None:
    async def moody(body: dict[str, Any]) -> dict[str, Any]:
        number = int(body["messages"][0]["content"].split()[1])
        if number % 10 == 3:
            raise InvalidRequest("No threes.", param="messages", code="no_threes")
        if number == 7:
            raise ZeroDivisionError
        return await echo(body)

    world.model = moody
    batch = world.batch(lines(50))
    world.work()
    assert world.now(batch).counts == Counts(50, 44, 6)
    errors = {each["custom_id"]: each["response"] for each in world.output(batch, "error")}
    assert sorted(errors) == ["r13", "r23", "r3", "r33", "r43", "r7"]
    assert errors["r3"]["status_code"] == 400
    assert errors["r3"]["body"]["error"] == {
        "message": "No threes.", "type": "invalid_request_error", "param": "messages", "code": "no_threes"
    }  # fmt: skip
    assert errors["r7"]["status_code"] == 500
    assert len(world.output(batch)) == 44


def test_a_passing_failure_of_a_line_is_tried_again(world: World) -> None:
    failures = iter([UpstreamFailed(), UpstreamFailed()])

    async def recovering(body: dict[str, Any]) -> dict[str, Any]:
        if error := next(failures, None):
            raise error
        return await echo(body)

    world.model = recovering
    batch = world.batch(lines(5))
    world.work()
    assert world.now(batch).counts == Counts(5, 5, 0)


def test_a_model_that_is_away_costs_no_line(world: World) -> None:
    answers = 0

    async def away_after_30(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal answers
        answers += 1
        if answers == 30:
            world.clock.advance(1000)
            raise Unavailable("The model is loading.")
        return await echo(body)

    world.model = away_after_30
    batch = world.batch(lines(60))
    once(world)
    assert world.now(batch).status is Status.IN_PROGRESS
    world.clock.advance(1000)
    world.work()
    assert ids(world.output(batch)) == expected(60)
    assert len(world.asked) == 61


def once(world: World) -> None:
    """Lets a worker take what is to be had now, each step once."""

    async def scenario() -> None:
        runner = world.runner()
        for _ in range(2):  # the plan, then the chunks it made
            for step in runner._candidates():
                await runner.runner.pull(step)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_what_a_stopped_worker_has_done_is_not_done_again(world: World) -> None:
    batch = world.batch(lines(100))
    stopped_after(world, 60)
    assert world.batches.counts(world.now(batch)).total == 100
    world.model = echo
    world.work()
    assert world.now(batch).counts == Counts(100, 100, 0)
    assert ids(world.output(batch)) == expected(100)
    assert len(world.asked) <= 100 + world.settings.worker_slots  # those under way


def stopped_after(world: World, count: int) -> None:
    """Runs a worker that is told to stop when it begins so many lines: those before this one are answered, and none
    that it begins until it has stopped."""

    async def scenario() -> None:
        task = asyncio.ensure_future(world.runner().run())

        async def stopping(body: dict[str, Any]) -> dict[str, Any]:
            if len(world.asked) == count:
                task.cancel()
            if len(world.asked) >= count:
                await asyncio.Event().wait()
            return await echo(body)

        world.model = stopping
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)
        world.model = echo

    asyncio.run(scenario())


def assert_partly(done: Batch, answered: int) -> None:
    """So many of a hundred lines were answered, and just those are billed."""
    assert done.counts == Counts(100, answered, 100 - answered)
    assert counted(done) == (3 * answered, answered, 2 * answered)


def test_cancelling_keeps_what_is_answered_and_bills_it(world: World) -> None:
    batch = world.batch(lines(100))
    stopped_after(world, 40)
    assert world.batches.cancel("acme", batch.id).status in (Status.CANCELLING, Status.CANCELLED)
    world.model = echo
    world.work()
    done = world.now(batch)
    assert done.status is Status.CANCELLED
    assert_partly(done, 39)
    errors = world.output(batch, "error")
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
    assert ids(world.output(batch) + errors) == expected(100)
    assert world.batches.cancel("acme", batch.id).status is Status.CANCELLED


def test_a_batch_that_nobody_has_looked_at_is_cancelled_at_once(world: World) -> None:
    batch = world.batch(lines(3))
    world.batches.cancel("acme", batch.id)
    world.work()
    assert (world.now(batch).status, world.asked) == (Status.CANCELLED, [])


def test_an_ended_batch_cannot_be_cancelled(world: World) -> None:
    batch = world.batch(lines(1))
    world.work()
    with pytest.raises(Conflict):
        world.batches.cancel("acme", batch.id)


def test_a_batch_out_of_time_returns_and_bills_what_is_finished(world: World) -> None:
    batch = world.batch(lines(100))
    stopped_after(world, 30)
    world.clock.advance(DAY_S + 1)
    world.batches.sweep()
    world.model = echo
    world.work()
    done = world.now(batch)
    assert done.status is Status.EXPIRED
    assert_partly(done, 29)
    assert {each["error"]["code"] for each in world.output(batch, "error")} == {"batch_expired"}


def test_nobody_elses_batch_is_there(world: World) -> None:
    batch = world.batch(lines(1))
    for action in (world.batches.get, world.batches.cancel):
        with pytest.raises(NotFound):
            action("other", batch.id)
    assert world.batches.list("other", 10, "").items == []
    with pytest.raises(InvalidRequest):
        world.batches.list("other", 10, batch.id)


def test_a_tenants_jobs_do_not_show_the_steps(world: World) -> None:
    batch = world.batch(lines(300))
    world.work()
    assert world.jobs.list("acme", JobFilter(), 10).items == []
    with pytest.raises(NotFound):
        world.jobs.get("acme", world.steps(batch)[0].id)


def test_nothing_is_left_of_the_parts(world: World) -> None:
    world.batch(lines(120))
    world.work()
    assert world.ports.blobs.list("batches") == []


@pytest.mark.parametrize("times", [1, 3])
def test_advancing_too_often_changes_nothing(world: World, times: int) -> None:
    batch = world.batch(lines(10))
    for _ in range(times):
        world.batches.advance(batch.id)
    world.work()
    for _ in range(times):
        assert world.batches.advance(batch.id) is False
    assert len(world.asked) == 10


def test_the_schedule_does_what_a_crash_kept_from_being_done(world: World) -> None:
    batch = world.batch(lines(10))
    for step in world.steps(batch):
        world.jobs.finish(world.claimed(step), Failed(JobError("broken", "Broken.", retryable=False)))
    assert world.now(batch).status is Status.VALIDATING
    assert world.batches.sweep().changed == 1
    failed = world.now(batch)
    assert (failed.status, [each.code for each in failed.mistakes]) == (Status.FAILED, ["not_validated"])


def test_files_that_cannot_be_put_together_fail_the_batch(world: World) -> None:
    batch = world.batch(lines(3))
    once(world)
    step = next(step for step in world.steps(batch) if step.task == FINISH)
    world.jobs.finish(world.claimed(step), Failed(JobError("broken", "Broken.", retryable=False)))
    world.batches.sweep()
    failed = world.now(batch)
    assert (failed.status, [each.code for each in failed.mistakes]) == (Status.FAILED, ["not_finished"])


@pytest.mark.parametrize(("total", "size"), [(1, 100), (9_999, 100), (20_000, 200), (50_000, 500)])
def test_chunks_have_a_hundred_to_five_hundred_lines(total: int, size: int) -> None:
    assert chunk_size(total) == size


def test_large_lines_make_smaller_chunks(world: World) -> None:
    large = {"model": line(0)["body"]["model"], "messages": [{"role": "user", "content": "x" * 900_000}]}
    batch = world.batch([line(number, body=large) for number in range(30)])
    world.work()
    assert world.now(batch).counts == Counts(30, 30, 0)
    assert len([step for step in world.steps(batch) if step.task == CHUNK]) == 3


def test_whoever_cancels_the_steps_spares_the_one_that_puts_the_files_together(world: World) -> None:
    """It may have been made by another process since this one last looked."""
    batch = world.batch(lines(2))
    plan = next(step for step in world.steps(batch) if step.task == "batch_plan")

    world.jobs.steps.cancel(batch.id, spare="batch_plan")
    assert world.steps(batch) == [plan]

    world.jobs.steps.cancel(batch.id, spare="batch_finish")
    assert [step.state for step in world.steps(batch)] == [State.CANCELLED]


@pytest.mark.parametrize("text", ["left\u2028right", "up\x85down", "a\u2029b"])
def test_a_line_of_the_output_is_one_line_to_every_reader(world: World, text: str) -> None:
    batch = world.batch([line(0, custom_id=text), line(1, custom_id=f"{text}2")])
    world.work()
    file = world.files.get("acme", world.now(batch).output_file_id or "")
    content = b"".join(world.files.read(file)).decode()
    assert {json.loads(each)["custom_id"] for each in content.splitlines()} == {text, f"{text}2"}
