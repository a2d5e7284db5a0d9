"""Tool calls of engines that tell them in ways of their own: a client adds up whatever stands in a stream."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from jobs.ml_worker.engines.engine import Running
from shared.web import sse
from tests.fakes import FakeResponse
from tests.worker.application import Application, FakeEngine
from tests.worker.test_engine_calls import CALL, NONE, TOOLS, chunk

DELTAS: dict[str, list[dict[str, Any]]] = {
    "Ollama": [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_2", "function": {"name": "g", "arguments": "{}"}}],
        },
        {"role": "assistant", "content": ""},
    ],
    "SGLang": [
        {"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None},
        {"role": None, "tool_calls": [CALL | {"function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"id": None, "index": 0, "type": "function", "function": {"name": None, "arguments": "{}"}}]},
        {"tool_calls": [{"id": "call_2", "index": 1, "function": {"name": "g", "arguments": None}}]},
        {"tool_calls": [{"id": None, "index": 1, "function": {"arguments": "{"}}]},
        {"tool_calls": [{"id": None, "index": 1, "function": {"arguments": "}"}}]},
    ],
    "all again": [
        {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "{"}}]},
        {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "}"}}]},
        {"role": "assistant", "tool_calls": [{"index": 1, "function": {"name": "g", "arguments": "{}"}}]},
    ],
}


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
@pytest.mark.parametrize("deltas", DELTAS.values(), ids=DELTAS)
def test_a_client_puts_the_same_calls_together(tmp_path: Path, deltas: list[dict[str, Any]], finish: str) -> None:
    app = Application(tmp_path, FakeEngine(Running("http://engine", 4096, events_are_plain=False)))
    common: Any = {"created": 5, "object": "chat.completion.chunk"}
    events = [*(chunk(delta, **common) for delta in deltas), chunk({}, finish, **common), sse.LAST]
    app.answers(lambda request: FakeResponse.stream(*events) if b"messages" in request.body else NONE)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    streamed = app.chat(stream=True, tools=TOOLS).content
    for payload in sse.payloads(streamed):
        if payload != sse.DONE:
            state.handle_chunk(ChatCompletionChunk.model_validate(json.loads(payload), strict=True))
    (choice,) = state.get_final_completion().choices
    whole = app.chat(tools=TOOLS).json()["choices"][0]
    assert (choice.finish_reason, whole["finish_reason"]) == ("tool_calls", "tool_calls")
    assert (choice.message.role, whole["message"]["role"]) == ("assistant", "assistant")
    calls = [call.model_dump(include={"id", "type", "function"}) for call in choice.message.tool_calls or ()]
    for number, (name, call, other) in enumerate(zip("fg", calls, whole["message"]["tool_calls"], strict=True)):
        assert (call["function"]["name"], call["function"]["arguments"]) == (name, "{}")
        assert other["function"] == {"name": name, "arguments": "{}"}
        assert number == 1 or call["id"] == other["id"] == "call_1"
        assert call["id"].startswith("call_")
