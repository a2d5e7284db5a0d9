"""A real Firestore emulator for the tests, one for the session; a test's documents are apart by their project."""

import itertools
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from local.firestore_emulator import EmulatorMissing, command
from shared.adapters.firestore_store import FirestoreStore
from shared.core.errors import Unavailable
from shared.firestore import Firestore
from tests.machine import free_port
from tests.waiting import wait_until

HOST = "127.0.0.1"
START_S = 120.0
PATIENCE_S = 60.0
"""The tests of a store are not about how busy the machine is."""
_numbers = itertools.count(1)


class FirestoreEmulator:
    """Keeps nothing on disk; can be killed, started again at the same address, and made to hang."""

    def __init__(self, log: Path) -> None:
        self._port = free_port()
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"{HOST}:{self._port}"

    def store(self, project: str = "", timeout_s: float = PATIENCE_S) -> FirestoreStore:
        """The documents of a project, by default of one that nobody else uses."""
        return FirestoreStore(Firestore(project or new_project(), "(default)", self.address, timeout_s))

    def start(self) -> None:
        try:
            program = command(HOST, self._port)
        except EmulatorMissing as missing:
            pytest.skip(str(missing))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(program, stdout=log, stderr=log, process_group=0)
        wait_until(self._answers, description="the Firestore emulator answers", within_s=START_S)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Connections are still accepted, and nothing is answered."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self._port)):
            store = self.store(timeout_s=5)
            with suppress(Unavailable):
                store.ping()
                return True
            store.close()
        return False


def new_project() -> str:
    return f"test-{os.getpid()}-{next(_numbers)}"


@contextmanager
def running(folder: Path) -> Iterator[FirestoreEmulator]:
    emulator = FirestoreEmulator(folder / "firestore.log")
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.stop()
