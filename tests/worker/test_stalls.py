"""An engine that stands still is given up and started again, and nobody hangs meanwhile: with the real engine."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import wait_until
from tests.worker.running import MODEL, RunningWorker

PATH = "/v1/chat/completions"
PLAIN: dict[str, Any] = {"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
LONG = {"type": "array", "minItems": 5000, "items": {"type": "integer"}}
HEAVY = {
    "max_tokens": 4000,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": LONG}},
}


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[RunningWorker]:
    with RunningWorker(tmp_path, OMNI_WORKER_STALL_S="3") as running:
        yield running.wait_until_ready()


def ask(worker: RunningWorker, answers: list[httpx.Response], **fields: Any) -> None:
    with worker.http() as http:
        answers.append(http.post(PATH, json=PLAIN | fields))


def stop_engine_in(worker: RunningWorker) -> int:
    """Stops the engine from moving on while it is busy with the heavy request; its process."""
    with worker.http() as http, http.stream("POST", PATH, json=PLAIN | HEAVY | {"stream": True}) as stream:
        next(stream.iter_lines())
        os.kill(engine := worker.engine_pid, signal.SIGSTOP)
    return engine


def test_a_schema_that_stops_the_engine_is_refused_and_everybody_else_told_to_come_back(worker: RunningWorker) -> None:
    engine = worker.engine_pid
    heavy: list[httpx.Response] = []
    asking = threading.Thread(target=ask, args=(worker, heavy), kwargs=HEAVY)
    asking.start()
    wait_until(lambda: worker.busy_slots() > 0, description="the engine to be busy", within_s=60)
    os.kill(engine, signal.SIGSTOP)

    def refused() -> bool:
        others: list[httpx.Response] = []
        ask(worker, others)
        return others[0].status_code == 503 and bool(others[0].headers["retry-after"])

    wait_until(refused, description="other requests to be told to come back", within_s=60)
    asking.join()
    assert (heavy[0].status_code, heavy[0].json()["error"]["code"]) == (400, "schema_too_complex")
    assert heavy[0].json()["error"]["param"] == "response_format"
    worker.wait_until_ready()
    assert worker.engine_pid != engine
    ask(worker, heavy, **HEAVY)
    assert heavy[1].status_code == 400, "it is not sent to an engine again"
    plain: list[httpx.Response] = []
    ask(worker, plain)
    assert plain[0].status_code == 200


def test_an_engine_stopped_by_a_caller_who_left_is_started_again(worker: RunningWorker) -> None:
    engine = stop_engine_in(worker)
    wait_until(lambda: worker.engine_pid not in {engine, 0}, description="another engine", within_s=60)
    worker.wait_until_ready()
    answers: list[httpx.Response] = []
    ask(worker, answers, **HEAVY)
    assert answers[0].status_code == 400
