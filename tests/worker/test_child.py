"""How an engine's process is started."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.ml_worker.engines.child import Child
from shared.settings import child_environment

CHECKOUT = Path(__file__).resolve().parent.parent.parent
START = """
import os, sys, uvloop
from jobs.ml_worker.engines.child import Child

async def start():
    child = await Child.start("echo", [sys.executable, "-c", "print('started')"], {}, reports=True)
    assert await child.report() == b"started\\n"
    await child.stop()

os.register_at_fork(before=lambda: print("forked"))
uvloop.run(start())
"""


def test_no_python_runs_between_fork_and_exec() -> None:
    """It did with uvloop's own subprocesses: a lock that a thread held was held for ever in the child."""
    done = subprocess.run(
        [sys.executable, "-c", START], check=False, cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_an_engine_says_is_logged_until_it_serves_and_its_last_words_are_only_known_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    says = 'print("loading", flush=True); input(); print("0.1 E slot: CANARY"); print("E: CUDA error: CANARY")'

    async def run() -> str:
        child = await Child.start("engine", [sys.executable, "-c", says], {}, reports=False)
        while "loading" not in caplog.text:  # noqa: ASYNC110  (a log tells nothing)
            await asyncio.sleep(0.01)
        child.serves()
        child.send(b"\n")
        try:
            return await child.ended()
        finally:
            await child.stop()

    with caplog.at_level("INFO"):
        ended = asyncio.run(run())
    assert ended == "engine ended with status 0. CUDA error"
    assert "CANARY" not in caplog.text
    assert "engine reported errors" in caplog.text


def test_a_child_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEYS", "OMNI_SIGNING_KEY", "OMNI_WORKER_ENGINE_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "ODD"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    passed_on = child_environment()
    assert "secret" not in passed_on.values()
    assert passed_on["CUDA_VISIBLE_DEVICES"] == "0"
    assert "PATH" in passed_on
