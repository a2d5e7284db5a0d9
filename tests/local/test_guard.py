import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.guard import Guard
from tests.waiting import wait_until


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], process_group=0) as process:
        yield process
        process.kill()


def test_the_watched_groups_die_when_the_pipe_ends_without_a_goodbye(sleeper: subprocess.Popen[bytes]) -> None:
    guard = Guard()
    guard.watch([sleeper.pid])

    guard._process.communicate()  # what the kernel does to the pipe of a killed supervisor

    assert sleeper.wait(timeout=10) == -signal.SIGKILL


def test_a_supervisor_that_closes_the_guard_leaves_the_groups_alone(sleeper: subprocess.Popen[bytes]) -> None:
    with closing(Guard()) as guard:
        guard.watch([sleeper.pid])

    assert sleeper.poll() is None


def test_a_lock_is_held_until_the_groups_are_gone(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        guard = Guard(held.fileno())
    guard.watch([sleeper.pid])

    with lock.open() as wanted:
        with pytest.raises(BlockingIOError):
            fcntl.flock(wanted, fcntl.LOCK_EX | fcntl.LOCK_NB)
        guard._process.communicate()
        fcntl.flock(wanted, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_killed_guard_is_replaced_at_the_next_change(sleeper: subprocess.Popen[bytes]) -> None:
    guard = Guard()
    first = guard._process.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: guard._process.poll() is not None, description="the first guard is dead")

    guard.watch([sleeper.pid])

    assert guard._process.pid != first
    guard._process.communicate()
    assert sleeper.wait(timeout=10) == -signal.SIGKILL
