"""The local Cloud Tasks, as a process of its own in front of a real HTTP server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.system_clock import SystemClock
from shared.core.keys import SYSTEM
from shared.core.queues import CPU, GPU_HI, GPU_LO, WEBHOOK, job_deliveries
from shared.keys.caller_token import HEADER, WORKER, Call
from shared.ports.queue import Task
from tests.caller_keys import SIGNING, caller_in
from tests.local.receiver import Receiver, receiving
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
CLOCK = SystemClock()
SLOTS = 8


@pytest.fixture
def queue(tmp_path: Path) -> SqliteQueue:
    return SqliteQueue(tmp_path / "queue.db", CLOCK)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def start(folder: Path, slots: int = SLOTS) -> subprocess.Popen[bytes]:
    settings = {"OMNI_STATE_DIR": str(folder), **SIGNING, "OMNI_WORKER_SLOTS": str(slots)}
    return subprocess.Popen(
        [sys.executable, "-m", "local.dispatcher"],
        cwd=CHECKOUT,
        env=os.environ | settings,
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def dispatching(folder: Path, slots: int = SLOTS) -> Iterator[subprocess.Popen[bytes]]:
    process = start(folder, slots)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def task(receiver: Receiver, name: str, not_before: float = 0.0, queue: str = GPU_LO) -> Task:
    return Task(queue, name, f"{receiver.url}/tasks/run", b'{"job_id":"j","seq":1}', not_before)


def test_a_task_is_posted_with_cloud_tasks_headers_and_a_signed_caller(
    queue: SqliteQueue, receiver: Receiver, tmp_path: Path
) -> None:
    queue.enqueue(task(receiver, "a1"))
    with dispatching(tmp_path):
        wait_until(lambda: receiver.received, description="the delivery")
    (delivery,) = receiver.received
    headers = delivery.headers
    assert (delivery.path, delivery.body) == ("/tasks/run", b'{"job_id":"j","seq":1}')
    assert (headers["x-cloudtasks-queuename"], headers["x-cloudtasks-taskname"]) == (GPU_LO, "a1")
    assert (headers["x-cloudtasks-taskretrycount"], headers["x-cloudtasks-taskexecutioncount"]) == ("0", "0")
    assert float(headers["x-cloudtasks-tasketa"]) == pytest.approx(CLOCK.now(), abs=60)
    assert caller_in(headers[HEADER], Call(WORKER, "POST", "/tasks/run"), CLOCK) == SYSTEM


def test_a_task_that_was_answered_is_not_delivered_again(
    queue: SqliteQueue, receiver: Receiver, tmp_path: Path
) -> None:
    queue.enqueue(task(receiver, "a1"))
    with dispatching(tmp_path):
        wait_until(lambda: receiver.received and not queue.due(GPU_LO, 1), description="the task done")
        queue.enqueue(task(receiver, "a1"))
        queue.enqueue(task(receiver, "a2"))
        wait_until(lambda: receiver.count("a2"), description="the next delivery")
    assert receiver.count("a1") == 1


def test_a_refused_task_comes_again_and_says_so(queue: SqliteQueue, receiver: Receiver, tmp_path: Path) -> None:
    receiver.statuses = [503, 404]
    queue.enqueue(task(receiver, "a1"))
    with dispatching(tmp_path):
        wait_until(lambda: len(receiver.received) == 3, description="two retries")
    counts = ("taskretrycount", "taskexecutioncount", "taskpreviousresponse")
    told = [tuple(each.headers.get(f"x-cloudtasks-{count}") for count in counts) for each in receiver.received]
    assert told == [("0", "0", None), ("1", "0", "503"), ("2", "1", "404")]


def test_a_task_whose_receiver_is_away_waits_for_it(queue: SqliteQueue, tmp_path: Path) -> None:
    with receiving() as gone:
        lost = task(gone, "a1")
    queue.enqueue(lost)
    with dispatching(tmp_path):
        wait_until(lambda: queue.due(GPU_LO, 1) == [], description="the first attempt")
    wait_until(lambda: queue.due(GPU_LO, 1), description="the task due again", within_s=30)


def test_a_task_waits_for_its_time(queue: SqliteQueue, receiver: Receiver, tmp_path: Path) -> None:
    due_at = CLOCK.now() + 1.5
    queue.enqueue(task(receiver, "later", due_at))
    queue.enqueue(task(receiver, "now"))
    with dispatching(tmp_path):
        wait_until(lambda: len(receiver.received) == 2, description="both deliveries")
        assert CLOCK.now() >= due_at
    assert receiver.received[0].headers["x-cloudtasks-taskname"] == "now"


def test_no_more_are_delivered_at_once_than_run_and_wait_for_their_turn(
    queue: SqliteQueue, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.open.clear()
    for n in range(10):
        queue.enqueue(task(receiver, f"t{n}"))
    with dispatching(tmp_path, slots=4):
        most = job_deliveries(1, 4)
        wait_until(lambda: len(receiver.received) == most, description="as many deliveries")
        queue.enqueue(task(receiver, "one-more"))
        wait_until(lambda: len(queue.due(GPU_LO, 100)) == 11, description="the enqueued task")
        assert len(receiver.received) == most
        receiver.open.set()
        wait_until(lambda: not queue.due(GPU_LO, 1), description="all done")
    assert len(receiver.received) == 11


def test_high_priority_goes_first_and_leaves_a_quarter_to_the_others(
    queue: SqliteQueue, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.open.clear()
    for n in range(20):
        queue.enqueue(task(receiver, f"lo{n}"))
        queue.enqueue(task(receiver, f"hi{n}", queue=GPU_HI))
    with dispatching(tmp_path, slots=9):
        most = job_deliveries(1, 9)
        wait_until(lambda: len(receiver.received) == most, description="as many deliveries")
        names = [each.headers["x-cloudtasks-taskname"] for each in receiver.received]
        assert sum(name.startswith("hi") for name in names) == most - most // 4
        receiver.open.set()
        wait_until(lambda: len(receiver.received) == 40, description="all of them")


def test_webhooks_and_other_work_do_not_wait_for_slots(queue: SqliteQueue, receiver: Receiver, tmp_path: Path) -> None:
    receiver.open.clear()
    for n in range(5):
        queue.enqueue(task(receiver, f"job{n}"))
    queue.enqueue(task(receiver, "hook", queue=WEBHOOK))
    queue.enqueue(task(receiver, "chore", queue=CPU))
    with dispatching(tmp_path, slots=1):
        wait_until(lambda: receiver.count("hook") and receiver.count("chore"), description="both of them")
        receiver.open.set()
        wait_until(lambda: len(receiver.received) == 7, description="all of them")


def test_tasks_in_flight_when_the_dispatcher_is_killed_are_delivered_again(
    queue: SqliteQueue, receiver: Receiver, tmp_path: Path
) -> None:
    names = [f"t{n}" for n in range(20)]
    for name in names:
        queue.enqueue(task(receiver, name))
    receiver.open.clear()
    with dispatching(tmp_path):
        wait_until(lambda: len(receiver.received) == job_deliveries(1, SLOTS), description="all there is room for")
    receiver.open.set()
    in_flight = {each.headers["x-cloudtasks-taskname"] for each in receiver.received}
    with dispatching(tmp_path):
        wait_until(lambda: not queue.due(GPU_LO, 1), description="all done")
    assert {receiver.count(name) for name in in_flight} == {2}
    assert {receiver.count(name) for name in set(names) - in_flight} == {1}


def test_a_dispatcher_killed_over_and_over_loses_nothing(
    queue: SqliteQueue, receiver: Receiver, tmp_path: Path
) -> None:
    names = [f"t{n}" for n in range(200)]
    for name in names:
        queue.enqueue(task(receiver, name))

    def more_than(count: int) -> Callable[[], bool]:
        return lambda: len(receiver.received) > count

    for deliveries in (20, 40, 60):
        with dispatching(tmp_path):
            wait_until(more_than(deliveries), description="some deliveries")
    with dispatching(tmp_path):
        wait_until(lambda: not queue.due(GPU_LO, 1), description="all done")
    assert all(receiver.count(name) >= 1 for name in names)


def test_without_a_signing_key_it_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local.dispatcher"],
        cwd=CHECKOUT,
        env=os.environ | {"OMNI_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode != 0
    assert "OMNI_CALLER_PRIVATE_KEY" in done.stderr
