"""One worker with the real engine, for all tests that leave it whole."""

from collections.abc import Iterator

import openai
import pytest

from tests.engine_under_test import ENGINE
from tests.worker.running import RunningWorker


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    with RunningWorker(tmp_path_factory.mktemp("worker"), **ENGINE) as running:
        yield running.wait_until_ready()


@pytest.fixture(scope="session")
def client(worker: RunningWorker) -> Iterator[openai.OpenAI]:
    with worker.openai() as client:
        yield client
