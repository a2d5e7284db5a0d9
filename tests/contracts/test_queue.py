"""What every queue promises; those that a local dispatcher empties are asked what is due."""

from dataclasses import replace

import pytest

from shared.ports.queue import LocalQueue, Task
from tests.fakes import FakeClock

TASK = Task("cpu", "a1b2", "http://worker/tasks/run", b'{"job_id":"j","seq":1}')


def due(queue: LocalQueue, limit: int = 10) -> list[str]:
    return [delivery.task.name for delivery in queue.due("cpu", limit)]


def test_a_task_comes_out_as_it_went_in(queue: LocalQueue, clock: FakeClock) -> None:
    assert queue.enqueue(TASK)
    (delivery,) = queue.due("cpu", 10)
    assert delivery.task == replace(TASK, not_before=clock.now())
    assert (delivery.retries, delivery.executions, delivery.previous_status) == (0, 0, 0)


def test_a_name_is_accepted_once(queue: LocalQueue) -> None:
    assert queue.enqueue(TASK)
    assert not queue.enqueue(replace(TASK, body=b"another"))
    (delivery,) = queue.due("cpu", 10)
    assert delivery.task.body == TASK.body


def test_names_are_apart_in_each_queue(queue: LocalQueue) -> None:
    assert queue.enqueue(TASK)
    assert queue.enqueue(replace(TASK, queue="gpu-hi"))
    assert due(queue) == ["a1b2"]


def test_a_name_stays_taken_for_an_hour_after_its_task_was_done(queue: LocalQueue, clock: FakeClock) -> None:
    queue.enqueue(TASK)
    clock.advance(5000)
    queue.done(queue.due("cpu", 1)[0])
    clock.advance(3599)
    queue.forget_old_names()
    assert not queue.enqueue(TASK)
    clock.advance(2)
    queue.forget_old_names()
    assert queue.enqueue(TASK)


def test_a_task_that_is_done_is_not_due_again(queue: LocalQueue, clock: FakeClock) -> None:
    queue.enqueue(TASK)
    queue.done(queue.due("cpu", 1)[0])
    clock.advance(1e6)
    assert due(queue) == []


def test_a_task_that_nobody_answered_for_stays_due(queue: LocalQueue) -> None:
    """So a dispatcher that was killed leaves nothing behind that would have to be recovered."""
    queue.enqueue(TASK)
    assert due(queue) == due(queue) == ["a1b2"]


def test_a_task_waits_for_its_time(queue: LocalQueue, clock: FakeClock) -> None:
    queue.enqueue(replace(TASK, not_before=clock.now() + 10))
    assert due(queue) == []
    clock.advance(10)
    assert due(queue) == ["a1b2"]


def test_the_longest_due_come_first(queue: LocalQueue, clock: FakeClock) -> None:
    now = clock.now()
    for name, delay in {"third": 3, "first": 1, "second": 2}.items():
        queue.enqueue(replace(TASK, name=name, not_before=now + delay))
    clock.advance(5)
    queue.enqueue(replace(TASK, name="last", not_before=0.0))
    assert due(queue) == ["first", "second", "third", "last"]
    assert due(queue, limit=2) == ["first", "second"]


def test_a_refused_task_is_due_again_after_a_backoff_that_doubles(queue: LocalQueue, clock: FakeClock) -> None:
    queue.enqueue(TASK)
    waits = []
    for _ in range(8):
        (delivery,) = queue.due("cpu", 1)
        queue.retry(delivery, 500)
        started = clock.now()
        while not due(queue):
            clock.advance(0.25)
        waits.append(clock.now() - started)
    assert waits == [0.5, 1, 2, 4, 8, 10, 10, 10]


def test_attempts_are_counted_as_cloud_tasks_counts_them(queue: LocalQueue, clock: FakeClock) -> None:
    """5xx and silence are retries but no executions."""
    queue.enqueue(TASK)
    for status in (503, 0, 404):
        queue.retry(queue.due("cpu", 1)[0], status)
        clock.advance(60)
    (delivery,) = queue.due("cpu", 1)
    assert (delivery.retries, delivery.executions, delivery.previous_status) == (3, 1, 404)


@pytest.mark.parametrize("name", ["", "with space", "a/b", "ü", "x" * 501])
def test_a_name_that_cloud_tasks_would_refuse_is_a_mistake(queue: LocalQueue, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        queue.enqueue(replace(TASK, name=name))


def test_ping_is_silent_while_the_queue_is_there(queue: LocalQueue) -> None:
    queue.ping()
