"""`kill -9` of any process, or of all of them, loses no job and runs none to its end twice."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.machine import free_port
from tests.stack.running import RunningStack
from tests.waiting import wait_until

JOBS = 20
ALL_AGAIN_S = 150.0
"""A dead worker's lease (3 s here), the next minute's reaper, and the work itself."""
ORDER = {
    "task": "chat_completions",
    "input": {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Count as far as you can."}],
        "max_tokens": 24,
    },
    "max_attempts": 10,
}


class Caller:
    def __init__(self, stack: RunningStack) -> None:
        self._base_url = stack.base_url
        self._headers = {"authorization": f"Bearer {stack.api_key}"}

    def submit(self) -> str:
        response = httpx.post(f"{self._base_url}/api/v1/jobs", json=ORDER, headers=self._headers, timeout=30)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def jobs(self) -> dict[str, dict[str, Any]]:
        """All jobs by id; none while whoever answers is down."""
        try:
            response = httpx.get(f"{self._base_url}/api/v1/jobs?limit=100", headers=self._headers, timeout=30)
        except httpx.TransportError:
            return {}
        return {job["id"]: job for job in response.json()["data"]} if response.is_success else {}

    def result(self, job_id: str) -> dict[str, Any]:
        response = httpx.get(f"{self._base_url}/api/v1/jobs/{job_id}", headers=self._headers, timeout=30)
        return dict(response.json()["result"])

    def states(self) -> set[str]:
        return {job["state"] for job in self.jobs().values()}


def wait_for_states(caller: Caller, wanted: Callable[[set[str]], bool], description: str) -> None:
    def reached() -> bool:
        time.sleep(0.5)  # a look costs the platform work that the jobs need
        return wanted(caller.states())

    wait_until(reached, description=description, within_s=ALL_AGAIN_S)


def all_succeed_once(caller: Caller, job_ids: list[str]) -> None:
    wait_for_states(caller, lambda states: states == {"succeeded"}, "all jobs have succeeded")
    finished = caller.jobs()
    assert set(finished) == set(job_ids)
    assert all(caller.result(job_id)["choices"][0]["message"]["content"] for job_id in job_ids)
    time.sleep(4)  # longer than a lease: whoever thinks it still has a job would write now
    assert caller.jobs() == finished


@pytest.mark.timeout(400)
def test_twenty_jobs_survive_the_death_of_each_process_in_turn(tmp_path: Path) -> None:
    with RunningStack(tmp_path / "state", free_port(), OMNI_LEASE_S="3") as stack:
        caller = Caller(stack)
        job_ids = [caller.submit() for _ in range(JOBS)]
        for name in ("worker", "dispatcher", "routes", "scheduler", "gateway"):
            wait_for_states(caller, lambda states: "running" in states or states == {"succeeded"}, "a job is running")
            starts = len(stack.starts(name))
            os.kill(stack.starts(name)[-1], signal.SIGKILL)
            wait_until(lambda: len(stack.starts(name)) > starts, description=f"{name} is started again")  # noqa: B023
        all_succeed_once(caller, job_ids)


@pytest.mark.timeout(400)
def test_twenty_jobs_survive_the_death_of_everything_at_once(tmp_path: Path) -> None:
    platform = RunningStack(tmp_path / "state", free_port(), OMNI_LEASE_S="3")
    with platform as stack:
        caller = Caller(stack)
        job_ids = [caller.submit() for _ in range(JOBS)]
        wait_for_states(caller, lambda states: "running" in states, "a job is running")
        stack.stop(signal.SIGKILL)
    with platform as stack:
        all_succeed_once(Caller(stack), job_ids)
