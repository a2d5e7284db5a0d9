"""The worker from start to end, with the real engine: callers who leave, an engine that is killed, a stop."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from jobs.ml_worker.main import CANCEL_AFTER_S, STREAMS_MAY_END_WITHIN_S, WorkerServer
from tests.machine import is_running
from tests.waiting import wait_until
from tests.worker.running import MODEL, RunningWorker

ENDLESS: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Tell a long story."}],
    "max_tokens": 8000,
    "ignore_eos": True,
}
PATH = "/v1/chat/completions"
CLOUD_RUN_KILLS_AFTER_S = 10


@contextmanager
def endless_stream(worker: RunningWorker, **fields: Any) -> Iterator[Iterator[str]]:
    """The lines of a stream that has begun and would go on for minutes."""
    with worker.http() as http, http.stream("POST", PATH, json=ENDLESS | {"stream": True} | fields) as response:
        lines = (line for line in response.iter_lines() if line)
        next(lines)
        yield lines


def slots_are_free(worker: RunningWorker) -> bool:
    return worker.busy_slots() == 0


@pytest.mark.parametrize("choices", [1, 2])
def test_a_caller_who_leaves_a_stream_frees_the_slot(worker: RunningWorker, choices: int) -> None:
    with endless_stream(worker, n=choices, max_tokens=4000):
        wait_until(lambda: worker.busy_slots() == choices, description="a slot for each choice")
    wait_until(lambda: slots_are_free(worker), description="the slots to be free")
    wait_until(lambda: engine_is_idle(worker), description="the engine to stop generating")


def test_a_caller_who_leaves_a_plain_request_frees_the_slot(worker: RunningWorker) -> None:
    with worker.http() as http:
        try:
            http.post(PATH, json=ENDLESS, timeout=1)
        except httpx.ReadTimeout:
            pass
        else:
            raise AssertionError("the answer came too early for this test")
    wait_until(lambda: slots_are_free(worker), description="the slot to be free")
    wait_until(lambda: engine_is_idle(worker), description="the engine to stop generating")


def engine_is_idle(worker: RunningWorker) -> bool:
    """Whether the engine's process uses (almost) no processor time for a while."""
    before = cpu_seconds(worker.engine_pid)
    time.sleep(0.2)
    return cpu_seconds(worker.engine_pid) - before < 0.05


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_engine_that_is_killed_ends_streams_with_an_error_and_comes_back(tmp_path: Path) -> None:
    with RunningWorker(tmp_path) as worker:
        with endless_stream(worker.wait_until_ready()) as lines:
            killed = worker.engine_pid
            os.kill(killed, signal.SIGKILL)
            *_, last = lines
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_failed"
        wait_until(lambda: worker.engine_pid not in (killed, 0), description="the engine to come back")
        worker.wait_until_ready()
        with worker.openai() as client:
            assert client.completions.create(model=MODEL, prompt="Hello", max_tokens=2).choices


def test_a_stop_ends_running_streams_with_an_error_before_it_is_killed(tmp_path: Path) -> None:
    with RunningWorker(tmp_path) as worker, endless_stream(worker.wait_until_ready()) as lines:
        engine = worker.engine_pid
        worker.terminate()
        *_, last = lines
        assert "error" in json.loads(last.removeprefix("data: "))
        worker.stop()
        assert STREAMS_MAY_END_WITHIN_S < CANCEL_AFTER_S < CLOUD_RUN_KILLS_AFTER_S
        assert not is_running(engine)


def test_a_stop_with_nothing_running_waits_for_nothing() -> None:
    async def for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    async def run() -> None:
        config = uvicorn.Config(Starlette(), "127.0.0.1", 0, log_config=None)
        server = WorkerServer(config, for_ever)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 (nothing tells when it does)
            await asyncio.sleep(0.01)
        server.should_exit = True
        await asyncio.wait_for(serving, 30)

    asyncio.run(run())


def test_the_engine_does_not_outlive_a_worker_that_is_killed(tmp_path: Path) -> None:
    with RunningWorker(tmp_path) as worker:
        engine = worker.wait_until_ready().engine_pid
        os.kill(worker.pid, signal.SIGKILL)
        wait_until(lambda: not is_running(engine), description="the engine to end")


def test_the_port_answers_before_the_model_does(tmp_path: Path) -> None:
    with RunningWorker(tmp_path) as worker:
        seen = {wait_until(lambda: worker.readiness()[0], description="an answer", within_s=30)}
        worker.wait_until_ready()
    assert seen == {503}


def test_weights_that_are_not_the_ones_expected_are_not_loaded(tmp_path: Path) -> None:
    with RunningWorker(tmp_path, OMNI_WORKER_MODEL_SHA256="ab" * 32) as worker:
        reason = wait_until(
            lambda: worker.readiness()[1].get("model", "loading").removeprefix("loading"),
            description="a reason",
            within_s=30,
        )
        assert worker.readiness()[0] == 503
    assert "not the ones expected" in reason
    assert [line for line in worker.log if line.get("reason") == reason]


def test_every_request_leaves_one_line_without_its_words(worker: RunningWorker) -> None:
    with worker.http() as http:
        request_id = http.post(PATH, json=ENDLESS | {"max_tokens": 3}).headers["x-request-id"]
    lines = wait_until(
        lambda: [line for line in worker.log if line.get("request_id") == request_id], description="the log line"
    )
    assert len(lines) == 1
    assert (lines[0]["route"], lines[0]["status"], lines[0]["tokens_out"]) == ("chat_completions", 200, 3)
    assert "long story" not in json.dumps(worker.log)
