"""What every queue promises to who receives its tasks: the embedded one, Cloud Tasks, and an emulator of it."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared.adapters.cloudtasks_queue import CloudTasksQueue
from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.system_clock import SystemClock
from shared.core.queues import GPU_HI, GPU_LO
from shared.ports.queue import Queue, Task
from tests import cloud_tasks, google_identity, tasks_emulator
from tests.caller_keys import SIGNING
from tests.google_identity import ACCOUNT
from tests.local.receiver import Receiver, receiving
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Delivering:
    queue: Queue
    counts_executions: bool = True
    prefix: str = ""
    """Of the queues' names in the headers."""


@contextmanager
def sqlite(folder: Path) -> Iterator[Delivering]:
    environment = os.environ | {"OMNI_STATE_DIR": str(folder), **SIGNING, "OMNI_ENV": "local"}
    command = [sys.executable, "-m", "local.dispatcher"]
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield Delivering(SqliteQueue(folder / "queue.db", SystemClock()))
    finally:
        process.kill()
        process.wait()


@contextmanager
def cloudtasks(_folder: Path) -> Iterator[Delivering]:
    with google_identity.running() as google, cloud_tasks.running(google) as service:
        yield Delivering(CloudTasksQueue(cloud_tasks.PARENT, ACCOUNT, service.endpoint), prefix="omni-")


@contextmanager
def emulator(folder: Path) -> Iterator[Delivering]:
    with tasks_emulator.running(folder / "emulator.log") as service:
        queue = CloudTasksQueue(cloud_tasks.PARENT, ACCOUNT, service.endpoint)
        yield Delivering(queue, counts_executions=False, prefix="omni-")


@pytest.fixture(scope="module", params=[sqlite, cloudtasks, emulator], ids=lambda made: made.__name__)
def delivering(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivering]:
    with request.param(tmp_path_factory.mktemp("queue")) as found:
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def task(receiver: Receiver) -> Task:
    """Of a name that no other test has used."""
    return Task(GPU_LO, secrets.token_hex(8), f"{receiver.url}/tasks/run", b'{"job_id":"j"}', audience=receiver.url)


def arrived(receiver: Receiver, number: int = 1) -> Callable[[], bool]:
    return lambda: len(receiver.received) >= number


def test_a_task_arrives_as_it_was_given(delivering: Delivering, receiver: Receiver, task: Task) -> None:
    assert delivering.queue.enqueue(task)
    wait_until(arrived(receiver), description="the delivery")
    (delivery,) = receiver.received
    assert (delivery.path, delivery.body) == ("/tasks/run", task.body)
    headers = delivery.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-cloudtasks-taskname"].endswith(task.name)
    assert headers["x-cloudtasks-queuename"].endswith(delivering.prefix + GPU_LO)
    assert headers["x-cloudtasks-taskretrycount"] == "0"


@pytest.mark.parametrize("delivering", [sqlite, cloudtasks], indirect=True, ids=["sqlite", "cloudtasks"])
def test_a_name_is_accepted_once(delivering: Delivering, receiver: Receiver, task: Task) -> None:
    """The emulator accepts it twice, as the service does not."""
    receiver.open.clear()
    assert delivering.queue.enqueue(task)
    assert not delivering.queue.enqueue(replace(task, body=b"{}"))
    wait_until(arrived(receiver), description="the delivery")
    receiver.open.set()
    last = replace(task, name=secrets.token_hex(8))
    delivering.queue.enqueue(last)
    wait_until(lambda: receiver.count(last.name), description="the next task")
    assert not delivering.queue.enqueue(task)
    assert receiver.count(task.name) == 1


def test_names_are_apart_in_each_queue(delivering: Delivering, receiver: Receiver, task: Task) -> None:
    assert delivering.queue.enqueue(task)
    assert delivering.queue.enqueue(replace(task, queue=GPU_HI))
    wait_until(arrived(receiver, 2), description="both")


def test_a_task_waits_for_its_time(delivering: Delivering, receiver: Receiver, task: Task) -> None:
    due_at = time.time() + 1.2
    delivering.queue.enqueue(replace(task, not_before=due_at))
    wait_until(arrived(receiver), description="the delivery")
    assert time.time() >= due_at - 0.01


def test_a_refused_task_comes_again_and_says_so(delivering: Delivering, receiver: Receiver, task: Task) -> None:
    receiver.statuses = [503, 404]
    delivering.queue.enqueue(task)
    wait_until(arrived(receiver, 3), description="two retries", within_s=30)
    told = [each.headers["x-cloudtasks-taskretrycount"] for each in receiver.received]
    assert told == ["0", "1", "2"]
    if delivering.counts_executions:
        counts = [each.headers["x-cloudtasks-taskexecutioncount"] for each in receiver.received]
        previous = [each.headers.get("x-cloudtasks-taskpreviousresponse") for each in receiver.received]
        assert (counts, previous) == (["0", "0", "1"], [None, "503", "404"])


@pytest.mark.parametrize("name", ["", "with space", "a/b", "ü", "x" * 501])
def test_a_name_that_cloud_tasks_would_refuse_is_a_mistake(delivering: Delivering, task: Task, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        delivering.queue.enqueue(replace(task, name=name))


def test_ping_is_silent_while_the_queue_is_there(delivering: Delivering) -> None:
    delivering.queue.ping()
