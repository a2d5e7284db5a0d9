"""Cloud Tasks on top of what every queue promises: answers that get lost, outages, tokens, deadlines and forks."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest

from shared.adapters.cloudtasks_queue import ATTEMPTS, CloudTasksQueue
from shared.core.errors import Unavailable
from shared.core.queues import GPU_LO, QUEUES
from shared.ports.queue import Task
from shared.settings import QueueKind, Settings, SettingsError
from shared.wiring import Ports
from tests import cloud_tasks, google_identity
from tests.cloud_tasks import PARENT, CloudTasks
from tests.google_identity import ACCOUNT
from tests.local.receiver import Receiver, receiving
from tests.machine import free_port
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def service() -> Iterator[CloudTasks]:
    with google_identity.running() as google, cloud_tasks.running(google) as service:
        yield service


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def task(receiver: Receiver) -> Task:
    return Task(GPU_LO, "a1b2", f"{receiver.url}/tasks/run", b"{}", audience=receiver.url)


def queue_at(endpoint: str) -> CloudTasksQueue:
    return CloudTasksQueue(PARENT, ACCOUNT, endpoint, timeout_s=0.5, sleep=lambda _: None)


@pytest.fixture
def queue(service: CloudTasks) -> CloudTasksQueue:
    return queue_at(service.endpoint)


@pytest.mark.parametrize("code", ["DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL"])
def test_a_creation_whose_answer_is_lost_makes_one_task(
    service: CloudTasks, queue: CloudTasksQueue, receiver: Receiver, task: Task, code: str
) -> None:
    service.lost_answers.append(grpc.StatusCode[code])
    assert queue.enqueue(task)
    wait_until(lambda: receiver.count(task.name) and not service.waiting, description="the delivery")
    assert len(service.asked) == 2
    assert receiver.count(task.name) == 1


def test_a_name_that_was_taken_all_along_is_told_from_a_lost_answer(queue: CloudTasksQueue, task: Task) -> None:
    assert queue.enqueue(task)
    assert not queue.enqueue(task)


def test_a_service_that_is_away_for_a_moment_is_asked_again(
    service: CloudTasks, queue: CloudTasksQueue, task: Task
) -> None:
    service.refusals.extend([grpc.StatusCode.UNAVAILABLE] * (ATTEMPTS - 1))
    assert queue.enqueue(task)


def test_a_service_that_stays_away_is_unavailable_after_a_few_attempts(
    service: CloudTasks, queue: CloudTasksQueue, task: Task
) -> None:
    service.refusals.extend([grpc.StatusCode.UNAVAILABLE] * 10)
    with pytest.raises(Unavailable):
        queue.enqueue(task)
    assert len(service.asked) == ATTEMPTS


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "FAILED_PRECONDITION"])
def test_a_refusal_is_unavailable_at_once(service: CloudTasks, queue: CloudTasksQueue, task: Task, code: str) -> None:
    service.refusals.append(grpc.StatusCode[code])
    with pytest.raises(Unavailable) as refused:
        queue.enqueue(task)
    assert len(service.asked) == 1
    assert "refused" in refused.value.detail


def test_a_queue_that_is_not_there_is_unavailable(queue: CloudTasksQueue, task: Task) -> None:
    with pytest.raises(Unavailable) as refused:
        queue.enqueue(replace(task, queue="no-such"))
    assert "Queue does not exist" in refused.value.detail


def test_a_service_that_hangs_is_waited_for_a_bounded_time(
    service: CloudTasks, queue: CloudTasksQueue, task: Task
) -> None:
    service.is_hanging.set()
    with pytest.raises(Unavailable):
        queue.enqueue(task)
    with pytest.raises(Unavailable):
        queue.ping()
    assert len(service.asked) == ATTEMPTS


def test_nobody_listening_is_unavailable(task: Task) -> None:
    queue = queue_at(f"127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable):
        queue.enqueue(task)
    with pytest.raises(Unavailable):
        queue.ping()


def test_who_may_only_create_tasks_is_ready_all_the_same(service: CloudTasks, queue: CloudTasksQueue) -> None:
    service.refusals.append(grpc.StatusCode.PERMISSION_DENIED)
    queue.ping()


def test_a_delivery_carries_a_token_for_the_receivers_base_url(
    queue: CloudTasksQueue, receiver: Receiver, task: Task
) -> None:
    queue.enqueue(task)
    wait_until(lambda: receiver.received, description="the delivery")
    scheme, token = receiver.received[0].headers["authorization"].split()
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert scheme == "Bearer"
    assert (claims["aud"], claims["email"]) == (receiver.url, ACCOUNT)


def test_a_task_may_take_half_an_hour_and_has_the_wanted_name(
    service: CloudTasks, queue: CloudTasksQueue, receiver: Receiver, task: Task
) -> None:
    receiver.open.clear()
    queue.enqueue(task)
    (waiting,) = service.waiting.values()
    assert waiting.task.dispatch_deadline == timedelta(minutes=30)
    assert waiting.task.name == f"{PARENT}{GPU_LO}/tasks/a1b2"
    assert waiting.task.schedule_time is None


def test_a_receiver_that_takes_too_long_gets_the_task_again(
    service: CloudTasks, queue: CloudTasksQueue, receiver: Receiver, task: Task
) -> None:
    """The first attempt may still run: what it does must not count twice."""
    service.deadline_s = 0.2
    receiver.open.clear()
    queue.enqueue(task)
    wait_until(lambda: len(receiver.received) == 2, description="the second attempt")
    receiver.open.set()
    headers = receiver.received[1].headers
    assert (headers["x-cloudtasks-taskretryreason"], headers["x-cloudtasks-taskexecutioncount"]) == (
        "DEADLINE_EXCEEDED",
        "0",
    )


AFTER_FORK = """
import os, sys
from shared.adapters.cloudtasks_queue import CloudTasksQueue
from shared.ports.queue import Task
queue = CloudTasksQueue(sys.argv[1], "a@b", sys.argv[2])
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        made = [queue.enqueue(Task("gpu-lo", f"t{number}-{each}", "http://127.0.0.1:9/x", b"")) for each in range(3)]
        os._exit(0 if made == [True] * 3 else 1)
    children.append(child)
sys.exit(max(os.waitpid(child, 0)[1] for child in children))
"""


def test_processes_forked_from_one_that_was_built_have_clients_of_their_own(service: CloudTasks) -> None:
    """As the functions' server does."""
    command = [sys.executable, "-W", "ignore", "-c", AFTER_FORK, PARENT, service.endpoint]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=60)
    assert len(service.names) == 9


def test_settings_choose_it_and_missing_ones_are_named() -> None:
    settings = Settings(queue=QueueKind.CLOUD_TASKS, project="p", tasks_account=ACCOUNT)
    assert isinstance(Ports(settings).queue, CloudTasksQueue)
    for name, lacking in (("OMNI_PROJECT", {"project": ""}), ("OMNI_TASKS_ACCOUNT", {"tasks_account": ""})):
        with pytest.raises(SettingsError, match=name):
            _ = Ports(replace(settings, **lacking)).queue  # type: ignore[arg-type]


def test_every_queue_is_asked_for_by_its_full_name(service: CloudTasks, queue: CloudTasksQueue, task: Task) -> None:
    for name in QUEUES:
        assert queue.enqueue(replace(task, queue=name))
    assert {name.partition("/tasks/")[0] for name in service.asked} == {PARENT + name for name in QUEUES}
