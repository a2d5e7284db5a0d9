"""The whole platform on the Firestore emulator."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from local.firestore_emulator import EmulatorMissing, command
from tests.machine import free_port
from tests.stack.running import RunningStack
from tests.stack.test_kill import Caller, all_succeed_once
from tests.waiting import wait_until


@pytest.mark.timeout(300)
def test_jobs_and_keys_live_in_firestore_and_survive_the_workers_death(tmp_path: Path) -> None:
    try:
        command("127.0.0.1", 1)
    except EmulatorMissing as missing:
        pytest.skip(str(missing))
    with RunningStack(tmp_path / "state", free_port(), state="firestore", OMNI_LEASE_S="3") as stack:
        caller = Caller(stack)
        job_ids = [caller.submit() for _ in range(3)]
        starts = stack.starts("worker")
        os.kill(starts[-1], signal.SIGKILL)
        wait_until(lambda: stack.starts("worker") != starts, description="the worker is started again")
        key = made_key(stack)
        assert models(stack, key) == 200
        all_succeed_once(caller, job_ids)
        assert not (stack.state_dir / "omni.db").exists()


def made_key(stack: RunningStack) -> str:
    headers = {"authorization": f"Bearer {stack.api_key}"}
    response = httpx.post(f"{stack.base_url}/api/v1/keys", json={"name": "ci", "tier": "basic"}, headers=headers)
    assert response.status_code == 201, response.text
    return str(response.json()["key"])


def models(stack: RunningStack, key: str) -> int:
    return httpx.get(f"{stack.base_url}/v1/models", headers={"x-api-key": key}).status_code
