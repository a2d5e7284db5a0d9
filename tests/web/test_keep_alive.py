"""An idle connection is kept for longer than whoever asks keeps it: nothing is sent into one that is being closed."""

import http.client
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.settings import Settings
from shared.web.keep_alive import KEEP_ALIVE_S
from tests.conftest import SECRETS, SETTINGS
from tests.machine import free_port
from tests.security.gateway import CHECKOUT, FUNCTIONS_FRAMEWORK, environment
from tests.waiting import wait_until

IDLE_S = 3.5
"""Longer than gunicorn's own 2 s and its next look at them."""


@contextmanager
def serving(target: str, folder: Path) -> Iterator[http.client.HTTPConnection]:
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
    ours = environment(folder, "http://127.0.0.1:9", port, folder / "models.toml")
    command = [FUNCTIONS_FRAMEWORK, "--target", target, *(["--asgi"] if target == "gateway" else [])]
    process = subprocess.Popen(command, cwd=CHECKOUT, env=inherited | ours, stderr=subprocess.DEVNULL)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        wait_until(lambda: is_up(connection), description=target, within_s=60)
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait(20)


def is_up(connection: http.client.HTTPConnection) -> bool:
    try:
        return health(connection) == 200
    except OSError:
        connection.close()
        return False


def health(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/api/health")
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize("target", ["gateway", "routes", "jobs_get"])
def test_a_connection_that_was_idle_carries_the_next_request(tmp_path: Path, target: str) -> None:
    (tmp_path / "models.toml").write_text("")
    with serving(target, tmp_path) as connection:
        assert health(connection) == 200
        socket = connection.sock
        time.sleep(IDLE_S)
        assert health(connection) == 200
        assert connection.sock is socket


def test_servers_keep_connections_longer_than_the_gateway() -> None:
    assert Settings(environment="local").upstream_idle_s * 2 < KEEP_ALIVE_S
