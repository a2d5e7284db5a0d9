"""What the engine is asked for, and what of it is left to the engine: on a fake one that can do more than ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.engines import events
from jobs.ml_worker.engines.engine import Running
from shared.ports.upstream import OutgoingRequest
from shared.web import sse
from tests.fakes import FakeResponse
from tests.worker.application import Application, FakeEngine, problem

ABLE = Running("http://engine", 1000, calls_tools=True, media=frozenset({"image_url"}), parameters=frozenset({"top_k"}))
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}
REST = {"index": 0, "function": {"arguments": " 1}"}}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
NONE = FakeResponse.json({})


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return events.encoded({"id": "c", "model": "big", "choices": [choice], **more})


def engine_answers(_: OutgoingRequest) -> FakeResponse:
    """A tool call, in whatever pieces the network makes of it."""
    calls = [chunk({"role": "assistant"}), chunk({"tool_calls": [CALL]}), chunk({"tool_calls": [REST]})]
    whole = b"".join([*calls, chunk({}, "tool_calls", timings={"x": 1}, usage=USAGE), sse.LAST])
    return FakeResponse.stream(*(whole[at : at + 50] for at in range(0, len(whole), 50)))


@pytest.fixture
def app(tmp_path: Path) -> Application:
    app = Application(tmp_path, FakeEngine(ABLE), max_output_tokens=77)
    app.answers(lambda request: engine_answers(request) if b"messages" in request.body else FakeResponse.json({}))
    return app


def test_a_request_that_names_no_limit_gets_the_default_one(app: Application) -> None:
    app.chat()
    assert app.asked()["max_tokens"] == 77
    app.chat(max_tokens=5)
    assert app.asked()["max_tokens"] == 5
    app.chat(max_tokens=5, max_completion_tokens=6)
    assert app.asked()["max_tokens"] == 6


def test_only_parameters_that_the_engine_is_known_to_take_reach_it(app: Application) -> None:
    app.chat(top_k=3, user="ann", temperature=0.5)
    asked = app.asked()
    assert (asked["top_k"], asked["temperature"]) == (3, 0.5)
    assert "user" not in asked


@pytest.mark.parametrize(("asked", "got"), [(2**31 - 1, 1000), (1000, 1000), (64, 64), (-1, -1)])
def test_no_request_makes_the_engine_look_back_further_than_its_context(tmp_path: Path, asked: Any, got: Any) -> None:
    running = Running("http://engine", 1000, parameters=frozenset({"repeat_last_n"}))
    app = Application(tmp_path, FakeEngine(running))
    app.chat(repeat_last_n=asked)
    assert app.asked()["repeat_last_n"] == got


def test_an_engine_that_knows_tools_gets_them(app: Application) -> None:
    app.chat(tools=TOOLS)
    assert (app.asked()["tools"], app.asked()["tool_choice"]) == (TOOLS, "auto")
    app.chat(tools=TOOLS, tool_choice="none")
    assert "tools" not in app.asked()
    app.chat(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "g"}})
    assert (app.asked()["tools"], app.asked()["tool_choice"]) == (TOOLS[1:], "required")
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}
    app.chat(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert (app.asked()["tools"], app.asked()["tool_choice"]) == (TOOLS[:1], "auto")


def test_400_for_a_choice_among_tools_that_are_not_there(app: Application) -> None:
    named = {"type": "function", "function": {"name": "h"}}
    assert problem(app.chat(tools=TOOLS, tool_choice=named))[2] == "tool_choice"


def test_a_tool_call_in_pieces_is_put_together(app: Application) -> None:
    choice = app.chat(tools=TOOLS).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]


def test_events_pass_through_untouched_however_they_are_cut(app: Application) -> None:
    streamed = app.chat(stream=True).content
    told = streamed.replace(b'"logprobs":null,', b"")
    assert chunk({"tool_calls": [CALL]}) + chunk({"tool_calls": [REST]}) in told
    assert b"timings" not in streamed
    assert b"usage" not in streamed
    assert streamed.endswith(sse.LAST)


def test_an_engine_that_sees_gets_the_picture(app: Application) -> None:
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    assert app.chat(messages=messages).status_code == 200
    assert app.asked()["messages"] == messages


def test_a_schema_without_a_schema_means_any_json(app: Application) -> None:
    app.chat(response_format={"type": "json_schema", "json_schema": {"name": "x"}})
    assert app.asked()["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("fields", [{}, {"service_tier": "auto"}, {"stream_options": {"include_usage": True}}])
def test_all_parts_of_a_stream_were_created_at_one_time(app: Application, fields: dict[str, Any]) -> None:
    """llama.cpp tells a new one when a second is over."""
    parts = [chunk({"role": "assistant"}, created=5), chunk({"content": "a"}, created=5)]
    later = [chunk({"content": "b"}, created=6), chunk({}, "stop", created=7, usage=USAGE)]
    app.answers(lambda request: FakeResponse.stream(*parts, *later, sse.LAST) if b"messages" in request.body else NONE)
    streamed = [each for each in sse.payloads(app.chat(stream=True, **fields).content) if each != sse.DONE]
    assert len({json.loads(each)["created"] for each in streamed}) == 1


@pytest.mark.parametrize(("several", "indices"), [(None, {0, 1}), (True, {0, 1}), (False, {0})])
def test_an_engine_that_makes_several_calls_is_held_to_one(app: Application, several: Any, indices: set[int]) -> None:
    calls = [chunk({"role": "assistant"}), *(chunk({"tool_calls": [CALL | {"index": index}]}) for index in (0, 1))]
    whole = [*calls, chunk({}, "tool_calls", usage=USAGE), sse.LAST]
    app.answers(lambda request: FakeResponse.stream(*whole) if b"messages" in request.body else NONE)
    streamed = app.chat(stream=True, tools=TOOLS, parallel_tool_calls=several).content
    events_ = [json.loads(each) for each in sse.payloads(streamed) if each != sse.DONE]
    made = [call for each in events_ for call in each["choices"][0]["delta"].get("tool_calls", ())]
    assert {call["index"] for call in made} == indices


def test_a_named_call_ends_with_stop_whatever_the_engine_says(app: Application) -> None:
    named = {"type": "function", "function": {"name": "f"}}
    assert app.chat(tools=TOOLS, tool_choice=named).json()["choices"][0]["finish_reason"] == "stop"
    assert app.chat(tools=TOOLS, tool_choice="required").json()["choices"][0]["finish_reason"] == "tool_calls"
