"""One stack a state folder: a second one would answer for the first one's jobs."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from local.guard import LONGEST_DEATH_S

POLL_S = 0.05


class AlreadyUp(Exception):
    """A stack runs on this state folder."""


class UnusableFolder(Exception):
    """The state folder cannot be made, or written to."""


@contextmanager
def claimed(state_dir: Path) -> Iterator[int]:
    """Holds the state folder, by a lock on the file descriptor that it gives; AlreadyUp when another stack has it.

    After a `kill -9` of a supervisor its guard has the lock for a moment more, until all processes are gone.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state_dir / "up.lock").touch()
    except OSError as error:
        raise UnusableFolder(f"{state_dir}: {error.strerror}; OMNI_STATE_DIR names the folder of the state") from None
    deadline = time.monotonic() + LONGEST_DEATH_S + POLL_S
    with (state_dir / "up.lock").open("a+") as file:
        while not _locked(file):
            if time.monotonic() > deadline:
                file.seek(0)
                raise AlreadyUp(
                    f"the platform is up already from {state_dir} (process {file.read().strip()}). "
                    "Stop it with Ctrl-C, or name another folder with OMNI_STATE_DIR"
                )
            time.sleep(POLL_S)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
