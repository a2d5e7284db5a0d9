"""What callers say and with which key is in no log of any process of the platform, whatever becomes of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack.running import RunningStack
from tests.waiting import wait_until

MODEL = "smollm2-135m-instruct"
PROMPT = "the-aunt-hid-it-below-the-oak-7f3"
SAID: Any = [{"role": "user", "content": PROMPT}]
CHAT = {"model": MODEL, "messages": SAID, "max_tokens": 4}


@pytest.fixture
def client(stack: RunningStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.base_url, headers={"x-api-key": stack.api_key}, timeout=60) as client:
        yield client


def logs(stack: RunningStack) -> str:
    return "".join(path.read_text(errors="replace") for path in Path(stack.state_dir / "logs").iterdir())


def test_nothing_that_was_said_is_written_down(stack: RunningStack, client: httpx.Client) -> None:
    made = client.post("/api/v1/keys", json={"name": "planted", "scopes": ["inference"]}).json()["key"]
    bodies: list[Any] = [
        CHAT,
        CHAT | {"stream": True},
        CHAT | {"temperature": PROMPT},
        CHAT | {"model": PROMPT},
        CHAT | {"messages": PROMPT},
        CHAT | {"messages": [{"role": "user", "content": PROMPT * 20_000}]},
        CHAT | {"messages": [{"role": PROMPT, "content": PROMPT}]},
        CHAT | {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": PROMPT}}}},
        CHAT | {"tools": [{"type": "function", "function": {"name": PROMPT, "parameters": {"type": PROMPT}}}]},
        CHAT | {"stop": [PROMPT], "logit_bias": {PROMPT: 1}},
    ]
    for body in bodies:
        assert client.post("/v1/chat/completions", json=body).status_code < 500
        client.post("/v1/chat/completions", json=body, headers={"x-api-key": made})
    client.post("/v1/completions", json={"model": MODEL, "prompt": PROMPT, "max_tokens": 4})
    client.post("/v1/chat/completions", content=f'{{"model": "{PROMPT}'.encode())
    client.get(f"/v1/models/{PROMPT}", params={"q": PROMPT, "key": made})
    job = client.post(
        "/api/v1/jobs", json={"task": "chat_completions", "input": CHAT, "metadata": {"x": PROMPT}}
    ).json()
    client.post("/api/v1/jobs", json={"task": PROMPT, "input": {PROMPT: PROMPT}})
    wait_until(
        lambda: client.get(f"/api/v1/jobs/{job['id']}").json()["state"] in {"succeeded", "failed"},
        description="the job has ended",
        within_s=60,
    )
    time.sleep(0.5)  # the journal writes a moment later
    written = logs(stack)
    assert job["id"] in written
    for planted in (PROMPT, made, made[18:40], stack.api_key):
        assert planted not in written
