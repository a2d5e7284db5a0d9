"""The whole platform on real vLLM: chat, streams and jobs through the gateway, a killed engine, and figures."""

import asyncio
import os
import signal
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
import httpx
import pytest

from tests.stack.running import RunningStack
from tests.waiting import wait_until

MODEL = "smollm2-135m-instruct"
HELLO: Any = [{"role": "user", "content": "Say hello."}]
TOKENS = 64
ROUNDS = 3


def http(stack: RunningStack) -> httpx.Client:
    return httpx.Client(base_url=stack.base_url, headers={"authorization": f"Bearer {stack.api_key}"}, timeout=120)


def engine_processes() -> dict[int, list[str]]:
    """Every vLLM of this test, and its command."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = folder.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "serve" in told and "--served-model-name" in told and "leash.py" not in " ".join(told):
            found[int(folder.name)] = told
    return found


def engine_of(stack: RunningStack) -> tuple[int, str]:
    """The process of the stack's vLLM and its address."""
    worker = stack.starts("worker")[-1]
    for pid, told in engine_processes().items():
        if _descends(pid, worker):
            return pid, f"http://127.0.0.1:{told[told.index('--port') + 1]}"
    raise AssertionError("the stack has no vLLM")


def key_of(pid: int) -> str:
    """What the worker has to send to its vLLM."""
    variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next(each.removeprefix("VLLM_API_KEY=") for each in variables if each.startswith("VLLM_API_KEY="))


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return False


def test_a_conversation_is_answered(stack: RunningStack) -> None:
    with stack.openai() as openai_client:
        answer = openai_client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage
    assert answer.usage.completion_tokens <= 8


def test_a_stream_is_counted(stack: RunningStack) -> None:
    with stack.openai() as openai_client:
        stream = openai_client.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=8, stream=True, stream_options={"include_usage": True}
        )
        parts = list(stream)
    assert parts[-1].usage
    assert parts[-1].usage.completion_tokens <= 8
    assert "".join(part.choices[0].delta.content or "" for part in parts[:-1])


def test_an_answer_keeps_to_a_schema(stack: RunningStack) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    with stack.openai() as openai_client:
        answer = openai_client.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=60, response_format=wanted, temperature=0
        )
    assert (answer.choices[0].message.content or "").replace("\n", "").lstrip().startswith("{")


def test_a_job_runs(stack: RunningStack) -> None:
    with http(stack) as platform:
        job = platform.post(
            "/api/v1/jobs",
            json={"task": "chat_completions", "input": {"model": MODEL, "messages": HELLO, "max_tokens": 8}},
        ).json()

        def state() -> str:
            return str(platform.get(f"/api/v1/jobs/{job['id']}").json()["state"])

        wait_until(lambda: state() == "succeeded", description="the job", within_s=120)


def test_an_engine_that_is_killed_is_told_of_and_started_again(stack: RunningStack) -> None:
    pid, _ = engine_of(stack)
    with http(stack) as platform:
        body = {"model": MODEL, "messages": HELLO, "max_tokens": 900, "stream": True, "ignore_eos": True}
        with platform.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.iter_lines()
            assert next(lines).startswith("data: ")
            os.kill(pid, signal.SIGKILL)
            last = [line for line in lines if line.startswith("data: ")]
        assert '"error"' in last[-1]
        assert "[DONE]" not in last[-1]

        def answers() -> bool:
            again = platform.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO, "max_tokens": 2})
            assert again.status_code in {200, 503}, again.text
            assert again.status_code == 200 or again.headers["retry-after"]
            return again.status_code == 200

        wait_until(answers, description="another vLLM", within_s=300)


def test_figures(stack: RunningStack, capsys: pytest.CaptureFixture[str]) -> None:
    """Tokens a second, by the gateway and bare, in alternating rounds; printed, and none asserted."""
    pid, bare = engine_of(stack)
    places = (("bare vLLM", bare, key_of(pid)), ("gateway", stack.base_url, stack.api_key))
    rates: dict[tuple[str, int], list[float]] = {}
    for _round in range(ROUNDS):
        for at_once in (1, 8):
            for name, url, key in places:
                rates.setdefault((name, at_once), []).append(asyncio.run(_rate(url, key, at_once)))
    with capsys.disabled():
        click.echo()
        for (name, at_once), found in rates.items():
            rounds = ", ".join(f"{each:.1f}" for each in found)
            click.echo(f"{name:<10}{at_once:>2} at once: {median(found):6.1f} tokens/s ({rounds})")
        for at_once in (1, 8):
            pairs = zip(rates["gateway", at_once], rates["bare vLLM", at_once], strict=True)
            click.echo(f"gateway / bare, {at_once} at once: {median(through / bare for through, bare in pairs):.2f}")


async def _rate(url: str, key: str, at_once: int) -> float:
    body = {
        "model": MODEL,
        "messages": HELLO,
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "seed": time.monotonic_ns() % 2**31,
    }
    async with httpx.AsyncClient(timeout=300, headers={"authorization": f"Bearer {key}"}) as asking:
        started = time.perf_counter()
        answers = await asyncio.gather(
            *(asking.post(f"{url}/v1/chat/completions", json=body | {"user": str(each)}) for each in range(at_once))
        )
        elapsed_s = time.perf_counter() - started
    tokens: int = sum(answer.json()["usage"]["completion_tokens"] for answer in answers)
    return tokens / elapsed_s
