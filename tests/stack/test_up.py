"""What `./omni up` promises."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.machine import free_port, is_running
from tests.stack.running import RunningStack
from tests.waiting import wait_until

PROCESSES = ("gateway", "routes", "worker", "dispatcher", "scheduler")
SERVERS = ("gateway", "routes", "worker")


@pytest.fixture
def own_stack(tmp_path: Path) -> RunningStack:
    """A platform that a test may break; without a model, so that it starts quickly."""
    return RunningStack(tmp_path / "state", free_port(), model="none")


def answers(stack: RunningStack, path: str) -> bool:
    try:
        return httpx.get(stack.base_url + path, headers={"x-api-key": stack.api_key}).is_success
    except httpx.TransportError:
        return False


def test_ready_is_said_once_and_last_and_then_everything_answers(stack: RunningStack) -> None:
    assert stack.out[-1] == f"READY {stack.base_url}"
    assert answers(stack, "/ready")
    assert answers(stack, "/v1/models")


def test_dev_env_names_the_address_and_a_key_that_only_its_owner_can_read(stack: RunningStack) -> None:
    assert stack.dev_env["OMNI_BASE_URL"] == stack.base_url
    assert stack.api_key.startswith("master-key-local-")
    assert (stack.state_dir / "dev.env").stat().st_mode & 0o777 == 0o600


def test_no_secret_is_printed_or_logged(stack: RunningStack) -> None:
    assert answers(stack, "/v1/models")
    logs = "".join(path.read_text() for path in (stack.state_dir / "logs").iterdir())

    assert stack.api_key not in logs + "\n".join(stack.out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_everything(own_stack: RunningStack, number: int) -> None:
    with own_stack as stack:
        pids = [stack.starts(name)[-1] for name in PROCESSES]

        assert stack.stop(number) == 0

    assert not any(is_running(pid) for pid in pids)


def test_every_killed_process_comes_back(own_stack: RunningStack) -> None:
    with own_stack as stack:
        for name in PROCESSES:
            os.kill(stack.starts(name)[-1], signal.SIGKILL)
        for name in PROCESSES:
            wait_until(lambda name=name: len(stack.starts(name)) == 2, description=f"{name} started again")  # type: ignore[misc]

        wait_until(lambda: answers(stack, "/ready") and answers(stack, "/v1/models"), description="all answer again")


def test_after_a_killed_supervisor_the_same_command_starts_again(own_stack: RunningStack) -> None:
    with own_stack as stack:
        pids = [stack.starts(name)[-1] for name in PROCESSES]
        stack.stop(signal.SIGKILL)
    key = stack.api_key

    with own_stack as stack:
        assert not any(is_running(pid) for pid in pids)
        assert stack.api_key == key
        assert answers(stack, "/v1/models")
