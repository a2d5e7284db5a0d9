"""gcloud-tasks-emulator from PyPI, a second opinion on Cloud Tasks: it accepts a name twice and sends no token.

Its packages do not go together with ours, so it is installed once into a folder of its own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from shared.core.queues import QUEUES
from tests.cloud_tasks import PARENT
from tests.machine import free_port
from tests.waiting import wait_until

PACKAGE = "gcloud-tasks-emulator==0.6.2"
FOLDER = Path(__file__).parent.parent / ".omni" / "tasks-emulator"
INSTALL_S = 120


class Emulator:
    def __init__(self, port: int) -> None:
        self.endpoint = f"127.0.0.1:{port}"

    def answers(self) -> bool:
        try:
            with grpc.insecure_channel(self.endpoint) as channel:
                grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
        return True

    def make_queues(self) -> None:
        channel = grpc.insecure_channel(self.endpoint)
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel, credentials=nobody))
        for queue in QUEUES:
            client.create_queue(parent=PARENT.partition("/queues/")[0], queue=tasks_v2.Queue(name=PARENT + queue))


@contextmanager
def running(log: Path) -> Iterator[Emulator]:
    program, port = _installed(), free_port()
    with log.open("wb") as output:
        process = subprocess.Popen([program, "start", "--port", str(port)], stdout=output, stderr=output)
    try:
        emulator = Emulator(port)
        wait_until(emulator.answers, description="the emulator answers", within_s=60)
        emulator.make_queues()
        yield emulator
    finally:
        process.kill()
        process.wait()


def _installed() -> Path:
    """The program; one loud skip when it cannot be had."""
    program = FOLDER / "bin" / "gcloud-tasks-emulator"
    if not program.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}") or "uv"
        try:
            for command in (
                [uv, "venv", "-q", "--python", sys.executable, str(FOLDER)],
                [uv, "pip", "install", "-q", "--python", str(FOLDER / "bin" / "python"), "setuptools<81", PACKAGE],
            ):
                subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S)
        except (OSError, subprocess.SubprocessError) as error:
            said = f"{PACKAGE} cannot be installed: {error} (uv pip install {PACKAGE})"
            pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)
    return program
