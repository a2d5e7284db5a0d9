"""A real Redis server of the test's own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis, RedisError

from shared.redis import TIMEOUT_S, connect
from tests.machine import free_port
from tests.waiting import wait_until


def find() -> str | None:
    """The system's server, else the one that a package in this environment carries."""
    return shutil.which("redis-server") or shutil.which("redis-server", path=str(Path(sys.executable).parent))


class RedisServer:
    """Keeps nothing on disk; can be stopped, started again at the same address, and made to hang."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def client(self, password: str | None = None, timeout_s: float = TIMEOUT_S) -> Redis:
        """As the platform connects to it, unless it is to be more patient."""
        return connect(self.url, lambda: password, timeout_s)

    def start(self) -> None:
        program = find()
        if program is None:
            pytest.skip("there is no redis-server on the PATH (apt-get install redis-server)")
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        wait_until(self._answers, description="Redis answers")

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
        with self.client() as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False


@contextmanager
def running(folder: Path) -> Iterator[RedisServer]:
    """Whoever of this process has connected meanwhile is closed after it, when nobody can connect again."""
    server = RedisServer(folder)
    with ExitStack() as clients, pytest.MonkeyPatch.context() as patched:
        patched.setattr("shared.redis.connect", lambda *options: clients.enter_context(connect(*options)))
        server.start()
        try:
            yield server
        finally:
            server.stop()
