"""Batches on the whole platform: the documented example as it stands, and the official client's other ways."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.conftest import SECRETS, SETTINGS
from tests.machine import free_port
from tests.stack.running import CHECKOUT, RunningStack
from tests.waiting import wait_until

MODEL = "smollm2-135m-instruct"
CHAT: Any = "/v1/chat/completions"
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)
FINAL = {"completed", "failed", "expired", "cancelled"}


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Iterator[openai.OpenAI]:
    with stack.openai() as client:
        yield client


def requests(count: int, max_tokens: int = 4) -> bytes:
    return b"\n".join(
        json.dumps(
            {
                "custom_id": f"r{number}",
                "method": "POST",
                "url": CHAT,
                "body": {
                    "model": MODEL,
                    "max_tokens": max_tokens,
                    "messages": [{"role": "user", "content": f"Say {number}."}],
                },
            }
        ).encode()
        for number in range(count)
    )


def begun(client: openai.OpenAI, content: bytes) -> str:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h").id


def ended(client: openai.OpenAI, batch_id: str, within_s: float = 120) -> Any:
    wait_until(
        lambda: client.batches.retrieve(batch_id).status in FINAL, description="the batch's end", within_s=within_s
    )
    return client.batches.retrieve(batch_id)


def test_the_documented_example_prints_an_answer_to_each_question(stack: RunningStack, tmp_path: Path) -> None:
    (code,) = EXAMPLE.findall((CHECKOUT / "docs/45-batches.md").read_text())
    environment = os.environ | {"OPENAI_BASE_URL": f"{stack.base_url}/v1", "OPENAI_API_KEY": stack.api_key}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert sorted(line.split()[0] for line in ran.stdout.splitlines() if line.startswith("question-")) == [
        "question-0", "question-1", "question-2"
    ]  # fmt: skip


def test_an_upload_in_parts_is_as_good_as_one_request(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(requests(6))
    upload = client.uploads.upload_file_chunked(
        file=path, mime_type="application/jsonl", purpose="batch", part_size=300
    )
    assert upload.file
    assert client.files.content(upload.file.id).read() == path.read_bytes()
    batch = client.batches.create(input_file_id=upload.file.id, endpoint=CHAT, completion_window="24h")
    done = ended(client, batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 6)
    assert done.usage.total_tokens > 0
    assert done.id in [each.id for each in client.batches.list(limit=1)], "pages are followed by the last id"
    assert client.files.delete(upload.file.id).deleted


def test_a_bad_file_fails_with_the_lines_that_are_wrong(client: openai.OpenAI) -> None:
    done = ended(client, begun(client, requests(2) + b"\n{oops\n"))
    assert done.status == "failed"
    assert [(each.code, each.line) for each in done.errors.data] == [("invalid_json_line", 3)]


def test_a_cancelled_batch_gives_out_what_was_answered(client: openai.OpenAI) -> None:
    batch_id = begun(client, requests(400, max_tokens=16))
    wait_until(lambda: client.batches.retrieve(batch_id).status == "in_progress", description="lines being answered")
    assert client.batches.cancel(batch_id).status in ("cancelling", "cancelled")
    done = ended(client, batch_id)
    assert done.status == "cancelled"
    answered = client.files.content(done.output_file_id).text.splitlines() if done.output_file_id else []
    assert len(answered) == done.request_counts.completed < 400
    assert len(client.files.content(done.error_file_id).text.splitlines()) == done.request_counts.failed


@pytest.mark.timeout(300)
def test_a_batch_outlives_its_worker_and_is_finished_by_a_cloud_run_job(tmp_path: Path) -> None:
    with RunningStack(tmp_path / "state", free_port(), OMNI_LEASE_S="2") as stack, stack.openai() as client:
        batch_id = begun(client, requests(120, max_tokens=8))
        wait_until(lambda: client.batches.retrieve(batch_id).status == "in_progress", description="the batch running")
        os.kill(stack.starts("worker")[-1], signal.SIGKILL)
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
        settings = {"OMNI_STATE_DIR": str(stack.state_dir), "OMNI_LEASE_S": "2"}
        job = subprocess.run(
            [sys.executable, "-m", "jobs.ml_worker.batch"],
            cwd=CHECKOUT,
            env=inherited | settings,
            timeout=240,
            check=False,
        )
        assert job.returncode == 0
        done = ended(client, batch_id)
        assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 120, 0)
