"""Engines that are servers of their own: started, watched, ended with all they have started, and their words made ours.

The shapes are recorded ones; `./omni test --vllm` has the real server.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.engines.dialects import DIALECTS
from jobs.ml_worker.engines.engine import EngineFailed, EngineMissing, Running
from jobs.ml_worker.engines.openai_http import OpenAIHttp
from shared.adapters.httptools_upstream import HttptoolsUpstream
from shared.core.engine_kinds import EngineKind
from shared.ports.upstream import OutgoingRequest
from shared.settings import Settings
from tests.fakes import FakeResponse
from tests.waiting import wait_until
from tests.worker import recorded_vllm
from tests.worker.application import CHAT, MODEL, Application, FakeEngine, problem

PROGRAM = f"{sys.executable} {Path(recorded_vllm.__file__)}"
VLLM = Running(
    "http://engine", 2048, events_are_plain=False, counts_tokens_at="/tokenize", scores_prompts=True, model="smol"
)
Use = Callable[[OpenAIHttp, Running], Awaitable[None]]


def settings(**more: Any) -> Settings:
    given: dict[str, Any] = {
        "worker_engine": EngineKind.VLLM,
        "worker_engine_command": PROGRAM,
        "worker_model": "big",
        "worker_model_path": "/weights",
    }
    return Settings(**given | more)


def started(use: Use, **more: Any) -> None:
    async def run() -> None:
        upstream = HttptoolsUpstream(idle_s=1)
        engine = OpenAIHttp(settings(**more), upstream)
        try:
            await use(engine, await engine.start())
        finally:
            await engine.stop()
            await upstream.close()

    asyncio.run(run())


async def nothing(_: OpenAIHttp, __: Running) -> None:
    """It started."""


def processes(group: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, pgrp = folder.joinpath("stat").read_text().rsplit(")", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(folder.name))
    return found


def group_of(running: Running) -> int:
    """The process group of the server behind a port."""
    port = running.base_url.rpartition(":")[2]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = folder.joinpath("cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if port.encode() in told and str(Path(recorded_vllm.__file__)).encode() in told:
            return os.getpgid(int(folder.name))
    raise AssertionError("no such server")


def server_in(group: int) -> int:
    """The process that answers: neither the leash nor the server's own child."""
    told = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes(group)}
    return next(pid for pid, command in told.items() if b"serve" in command and pid != group)


def test_a_server_is_started_and_tells_what_its_model_can_hold() -> None:
    async def use(_: OpenAIHttp, running: Running) -> None:
        assert running.base_url.startswith("http://127.0.0.1:")
        assert (running.context, running.calls_tools, running.shared_context) == (2048, False, 0)

    started(use)


def test_llama_server_s_slots_share_its_context() -> None:
    """Told how many slots, it would give each only its part, unless it is told this too."""
    assert "--kv-unified" in DIALECTS[EngineKind.LLAMA_SERVER].command

    async def use(_: OpenAIHttp, running: Running) -> None:
        assert running.shared_context == running.context == 4096

    started(use, worker_engine=EngineKind.LLAMA_SERVER, worker_context=4096, worker_model="other")


def test_it_ends_with_all_that_it_has_started() -> None:
    groups: list[int] = []

    async def use(_: OpenAIHttp, running: Running) -> None:
        groups.append(group_of(running))
        assert len(processes(groups[0])) == 3, "the leash, the server and the server's own child"

    started(use)
    wait_until(lambda: not processes(groups[0]), description="the end of all its processes")


def test_it_is_told_when_a_server_ends_and_clears_up_what_is_left() -> None:
    leashes: list[int] = []

    async def use(engine: OpenAIHttp, running: Running) -> None:
        leashes.append(group_of(running))
        os.kill(server_in(leashes[0]), signal.SIGKILL)
        async with asyncio.timeout(20):
            assert "ended with status 137" in await engine.ended()
        assert processes(leashes[0]), "the server's own child"

    started(use)
    wait_until(lambda: not processes(leashes[0]), description="the end of all its processes")


def test_a_server_that_ends_at_its_start_has_the_last_word() -> None:
    with pytest.raises(EngineFailed, match="Failed to infer device type"):
        started(nothing, worker_engine_args="--fail")


def test_a_server_that_never_gets_healthy_is_given_up() -> None:
    with pytest.raises(EngineFailed, match="did not answer within 1 s"):
        started(nothing, worker_engine_args="--sleep", worker_start_s=1.0)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineMissing, match="no-such-program"):
        started(nothing, worker_engine_command="/no-such-program")


def test_a_server_by_address_is_not_ours_to_end(tmp_path: Path) -> None:
    async def use(_: OpenAIHttp, running: Running) -> None:
        upstream = HttptoolsUpstream(idle_s=1)
        there = OpenAIHttp(settings(worker_engine_url=running.base_url + "/v1"), upstream, "sk-secret")
        found = await there.start()
        assert (found.base_url, found.headers) == (running.base_url, (("authorization", "Bearer sk-secret"),))
        await there.stop()
        assert processes(group_of(running))
        await upstream.close()

    started(use)


@pytest.fixture
def app(tmp_path: Path) -> Application:
    return Application(tmp_path, FakeEngine(VLLM), run_as_internal=False)


def vllm_says(app: Application, stream: bytes, count: int = 31) -> None:
    def answer(request: OutgoingRequest) -> FakeResponse:
        if request.url.endswith("/tokenize"):
            return FakeResponse.json({"count": count, "max_model_len": 2048, "tokens": []})
        asked = json.loads(request.body)
        return FakeResponse.stream(stream) if asked.get("stream") else FakeResponse.json(recorded_vllm.WHOLE)

    app.answers(answer)


def test_nothing_of_the_engine_s_own_shows(app: Application) -> None:
    vllm_says(app, recorded_vllm.CHAT)
    whole = app.chat().json()
    assert whole["model"] == MODEL
    assert whole["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "Nice", "refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": "length",
    }
    assert whole["usage"]["total_tokens"] == 34
    streamed = app.chat(stream=True).text
    for own in ("token_ids", "stop_reason", "prompt_text", "smol", "reasoning", "usage"):
        assert own not in streamed
    assert app.asked()["model"] == "smol"


def test_the_older_form_of_logprobs_stays_what_it_is(app: Application) -> None:
    vllm_says(app, recorded_vllm.TEXT_WITH_LOGPROBS)
    answer = app.request("POST", "/v1/completions", json={"model": MODEL, "prompt": "The sea", "logprobs": 1}).json()
    assert answer["choices"][0]["logprobs"] == {
        "tokens": [" and", " land"],
        "token_logprobs": [-3.75, -2.0],
        "text_offset": [0, 4],
        "top_logprobs": [{" of": -1.25, " and": -3.75}, {" the": -1.0, " land": -2.0}],
    }


def test_the_scores_of_a_prompt_are_the_engine_s(app: Application) -> None:
    vllm_says(app, recorded_vllm.TEXT_WITH_SCORES)
    fields = {"model": MODEL, "prompt": "The sea", "max_tokens": 0, "echo": True, "logprobs": 1}
    answer = app.request("POST", "/v1/completions", json=fields).json()
    assert (app.asked()["echo"], app.asked()["max_tokens"], app.asked()["logprobs"]) == (True, 0, 1)
    (choice,) = answer["choices"]
    assert choice["text"] == "The sea"
    assert choice["logprobs"]["token_logprobs"] == [None, -7.5]
    assert choice["logprobs"]["top_logprobs"] == [None, {" same": -1.0, " sea": -7.5}]


@pytest.mark.parametrize(("asked", "count", "got"), [(5000, 31, 2017), (10, 31, 10), (None, 1500, 548)])
def test_no_more_output_is_asked_for_than_the_context_has_left(
    app: Application, asked: int | None, count: int, got: int
) -> None:
    vllm_says(app, recorded_vllm.CHAT, count)
    fields = {"messages": [{"role": "user", "content": "word " * 400}]} if asked is None else {"max_tokens": asked}
    assert app.chat(**fields).status_code == 200
    assert app.asked()["max_tokens"] == got


def test_a_short_request_is_not_counted_first(app: Application) -> None:
    vllm_says(app, recorded_vllm.CHAT)
    app.chat(max_tokens=10)
    assert not any(request.url.endswith("/tokenize") for request in app.upstream.requests)


def test_an_engine_that_dies_in_a_stream_is_not_taken_for_done(app: Application) -> None:
    """It sends `[DONE]` after the error."""
    vllm_says(app, recorded_vllm.CHAT.removesuffix(b"data: [DONE]\n\n") + recorded_vllm.DIED)
    streamed = app.chat(stream=True).text
    assert "[DONE]" not in streamed
    assert json.loads(streamed.strip().rpartition("data: ")[2])["error"]["code"] == "model_loading"


@pytest.mark.parametrize(
    ("failure", "expected", "said"),
    [
        ("too long", (400, "context_length_exceeded", "messages"), "maximum context length is 2048 tokens"),
        ("bad value", (400, "invalid_request", "temperature"), "temperature must be non-negative, got -1.0."),
        ("bad type", (400, "invalid_request", "temperature"), "Input should be a valid number"),
        ("bad schema", (400, "invalid_request", None), "Grammar error: Invalid type: nonsense"),
        ("other model", (502, "upstream_failed", None), ""),
        ("no route", (502, "upstream_failed", None), ""),
        ("bad key", (502, "upstream_failed", None), ""),
        ("engine died", (503, "model_loading", None), "The model is starting again."),
        ("draining", (503, "model_loading", None), "The model is starting again."),
    ],
)
def test_each_way_of_saying_no_becomes_the_one_error_shape(
    app: Application, failure: str, expected: tuple[int, str, str | None], said: str
) -> None:
    status, answer = recorded_vllm.FAILURES[failure]

    def refuse(request: OutgoingRequest) -> FakeResponse:
        return FakeResponse.json(answer, status) if b'"messages"' in request.body else FakeResponse.json({})

    app.answers(refuse)
    response = app.request("POST", "/v1/chat/completions", json=CHAT | {"max_tokens": 5})
    assert problem(response) == expected
    assert said in response.json()["error"]["message"]
    assert "parameter=" not in response.text
    assert ("retry-after" in response.headers) == (expected[0] == 503)
