"""Requests that cannot be answered: each gets a 4xx that names what is wrong, and no engine sees it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.engines.engine import Running
from tests.worker.application import CHAT, MODEL, Application, FakeEngine, problem

PATH = "/v1/chat/completions"
TEXT: dict[str, Any] = {"model": MODEL, "prompt": "Hi"}


@pytest.fixture
def app(tmp_path: Path) -> Application:
    return Application(tmp_path, FakeEngine(Running("http://engine", 100)), max_body_bytes=4000, max_header_bytes=2000)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"model": "\xff"}', "invalid_json", None),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "too_deep", None),
        (b"[]", "invalid_value", None),
    ],
)
def test_400_for_a_body_that_is_no_request(app: Application, body: bytes, code: str, param: str | None) -> None:
    assert problem(app.request("POST", PATH, content=body)) == (400, code, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logit_bias": {"hello": 1}}, "logit_bias"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            "messages.0.content",
        ),
    ],
)
def test_400_names_the_field_of_a_conversation(app: Application, fields: dict[str, Any], param: str) -> None:
    status, _, found = problem(app.chat(**fields))
    assert (status, found) == (400, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"echo": True, "prompt": [1, 2]}, "echo"),
    ],
)
def test_400_names_the_field_of_a_text(app: Application, fields: dict[str, Any], param: str) -> None:
    status, _, found = problem(app.request("POST", "/v1/completions", json=TEXT | fields))
    assert (status, found) == (400, param)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (PATH, {"messages": [{"role": "user", "content": "a" * 100 * 128}]}, "messages"),
        (PATH, {"messages": [{"role": "user", "content": [{"type": "text", "text": "a" * 100 * 128}]}]}, "messages"),
        ("/v1/completions", {"prompt": "a" * 100 * 128}, "prompt"),
        ("/v1/completions", {"prompt": [1] * 100}, "prompt"),
    ],
)
def test_400_for_a_prompt_that_cannot_fit_whatever_the_vocabulary(
    tmp_path: Path, path: str, fields: dict[str, Any], param: str
) -> None:
    app = Application(tmp_path, FakeEngine(Running("http://engine", 100, shared_context=100)))
    response = app.request("POST", path, json={"model": MODEL} | fields)
    assert problem(response) == (400, "context_length_exceeded", param)
    assert [each.url for each in app.upstream.requests] == ["http://engine/v1/completions"], "asked once, at its start"


LARGE = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(1000)}}


@pytest.mark.parametrize("calls_tools", [True, False])
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_400_for_a_tool_whose_schema_is_too_large(tmp_path: Path, calls_tools: bool, choice: str) -> None:  # noqa: FBT001
    app = Application(tmp_path, FakeEngine(Running("http://engine", 100, calls_tools=calls_tools)))
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    tools[1]["function"]["parameters"] = LARGE  # type: ignore[index]
    refusal = problem(app.chat(tools=tools, tool_choice=choice))
    assert refusal == (400, "schema_too_large", "tools.1.function.parameters")


def test_400_for_tools_that_are_too_large_together(app: Application) -> None:
    running = Running("http://engine", 100, calls_tools=False)
    small = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(300)}}
    tools = [{"type": "function", "function": {"name": f"f{number}", "parameters": small}} for number in range(3)]
    app = Application(app.settings.state_dir, FakeEngine(running))
    assert problem(app.chat(tools=tools, tool_choice="required")) == (400, "schema_too_large", "tools")


def test_401_without_a_valid_key(app: Application) -> None:
    for key in (None, "wrong"):
        assert problem(app.request("POST", PATH, key=key, json=CHAT))[:2] == (401, "invalid_api_key")


def test_401_for_a_caller_who_wants_to_run_jobs(app: Application) -> None:
    response = app.request("POST", "/tasks/run", json={"job_id": "job_1", "seq": 1})
    assert problem(response)[0] == 401


def test_404_for_another_model(app: Application) -> None:
    assert problem(app.chat(model="another")) == (404, "model_not_found", "model")


def test_404_and_405_where_there_is_nothing(app: Application) -> None:
    assert problem(app.request("GET", "/v1/nothing"))[0] == 404
    refused = app.request("GET", PATH)
    assert problem(refused)[0] == 405
    assert refused.headers["allow"] == "POST"


def test_408_for_a_body_that_does_not_come(tmp_path: Path) -> None:
    app = Application(tmp_path, body_timeout_s=0.05)

    async def half() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert problem(app.request("POST", PATH, content=half()))[0] == 408


def test_413_for_a_body_that_is_too_large(app: Application) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1000

    assert problem(app.request("POST", PATH, content=b"x" * 4001))[0] == 413
    assert problem(app.request("POST", PATH, content=parts()))[0] == 413


def test_429_says_when_to_come_again(app: Application) -> None:
    refused = [app.request("POST", PATH, "free-key-ann-1", json={}) for _ in range(11)][-1]
    assert problem(refused)[:2] == (429, "rate_limit_exceeded")
    assert refused.headers["retry-after"]


def test_431_for_a_head_that_is_too_large(app: Application) -> None:
    assert problem(app.request("POST", PATH, json=CHAT, headers={"x-filler": "x" * 2000}))[0] == 431


def test_none_of_them_reached_the_engine(app: Application) -> None:
    app.chat(model="another")
    assert len(app.upstream.requests) == 1  # the engine answered once, to show that it is ready


def test_403_a_caller_with_a_budget_has_to_go_through_the_gateway(tmp_path: Path) -> None:
    worker = Application(tmp_path, FakeEngine(Running("http://engine", 100)), tier_budgets="premium.daily_usd=1")
    assert problem(worker.chat())[:2] == (403, "budget_needs_gateway")
