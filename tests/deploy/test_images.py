"""The images' own steps, run for real, and what they start answers."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.caller_keys import SIGNING
from tests.deploy import image
from tests.machine import free_port
from tests.waiting import wait_until

CHECKOUT = image.CHECKOUT
CHAT = {"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}


def answer(url: str, body: object = None, **headers: str) -> Any:
    """The JSON at `url`; None while nobody answers with 200."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return json.load(response)
    except OSError:
        return None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_worker_on_cpus_is_built_and_answers(tmp_path: Path) -> None:
    worker = image.build(CHECKOUT / "jobs" / "ml_worker" / "Dockerfile.cpu", tmp_path / "image")
    base_url, log = f"http://127.0.0.1:{(port := free_port())}", tmp_path / "log"
    settings = {"API_KEYS": "prod-key-acme-1", **SIGNING, "RUN_AS_INTERNAL": "0"}
    settings |= {"OMNI_SYSTEM_ACCOUNTS": "tasks@example.com"}
    with worker.running(log, PORT=str(port), HOST="127.0.0.1", **settings) as process:

        def is_ready() -> Any:
            assert process.poll() is None, log.read_text()[-3000:]
            return answer(f"{base_url}/ready")

        wait_until(is_ready, description="the worker is ready", within_s=120)
        said = answer(f"{base_url}/v1/chat/completions", CHAT, authorization="Bearer prod-key-acme-1")
    assert said["choices"][0]["message"]["content"]
    assert said["usage"]["completion_tokens"] > 0
