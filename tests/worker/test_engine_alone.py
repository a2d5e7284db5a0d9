"""The engine that the worker starts answers the worker alone: with the real engine."""

import re
from pathlib import Path

import httpx

from tests.worker.running import RunningWorker


def listening(pid: int) -> str:
    """The address that a process listens on."""
    inodes = {
        re.sub(r"\D", "", str(each.readlink())) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()
    }
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[3] == "0A" and columns[9] in inodes:
            return f"http://127.0.0.1:{int(columns[1].partition(':')[2], 16)}"
    raise AssertionError("it listens nowhere")


def test_it_wants_a_key_and_allows_no_web_page(worker: RunningWorker) -> None:
    address = listening(worker.engine_pid)
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    refused = httpx.post(f"{address}/v1/chat/completions", json=body, headers={"origin": "http://evil.example"})
    assert refused.status_code == 401
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    preflight = httpx.options(f"{address}/v1/chat/completions", headers=asked)
    for answer in (refused, preflight):
        assert answer.headers.get("access-control-allow-origin", "") not in {"*", "http://evil.example"}


def test_its_key_is_in_no_argument_and_no_secret_is_in_its_environment(worker: RunningWorker) -> None:
    process = Path(f"/proc/{worker.engine_pid}")
    environment = dict(each.split(b"=", 1) for each in (process / "environ").read_bytes().split(b"\0") if b"=" in each)
    assert not environment.keys() & {b"API_KEYS", b"OMNI_SIGNING_KEY", b"OMNI_KEY_PEPPER", b"PORT"}
    arguments = (process / "cmdline").read_bytes().split(b"\0")
    assert len([each for each in arguments if each]) == 4, "the interpreter, -m, the module and its options"
