"""Answers and the parts of streams are what OpenAI's published schema says, to the letter."""

import json
from typing import Any

import openai
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.worker.running import MODEL, RunningWorker
from tests.worker.test_chat import CHAT, sse
from tests.worker.test_structure import TOOLS, WEATHER

NAMED = {"type": "function", "function": {"name": "GetTime"}}
ASKED: list[dict[str, Any]] = [
    {},
    {"n": 2},
    {"logprobs": True, "top_logprobs": 2},
    {"messages": WEATHER, "tools": TOOLS, "tool_choice": NAMED, "max_tokens": 60, "logit_bias": {}},
    {"messages": WEATHER, "tools": TOOLS},
]


@pytest.mark.parametrize("fields", ASKED, ids=str)
def test_a_whole_answer_has_every_field_that_a_schema_requires(worker: RunningWorker, fields: dict[str, Any]) -> None:
    with worker.http() as http:
        answer = http.post("/v1/chat/completions", json=CHAT | fields).json()
    ChatCompletion.model_validate(answer, strict=True)
    for choice in answer["choices"]:
        assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
        message = choice["message"]
        assert set(message) - {"tool_calls"} == {"role", "content", "refusal", "annotations"}
        assert (message["refusal"], message["annotations"]) == (None, [])
        assert (message["content"] is None) == bool(message.get("tool_calls"))
    assert "system_fingerprint" in answer


@pytest.mark.parametrize("with_usage", [False, True])
@pytest.mark.parametrize("fields", ASKED, ids=str)
def test_each_part_of_a_stream_has_every_field(
    worker: RunningWorker,
    fields: dict[str, Any],
    with_usage: bool,  # noqa: FBT001
) -> None:
    options = {"stream_options": {"include_usage": True}} if with_usage else {}
    *events, done = sse(worker, "/v1/chat/completions", **CHAT | fields | options)
    assert done == "[DONE]"
    parts = [json.loads(event) for event in events]
    for part in parts:
        ChatCompletionChunk.model_validate(part, strict=True)
    assert len({(part["id"], part["created"], part["model"], part["system_fingerprint"]) for part in parts}) == 1
    if with_usage:
        assert parts[-1]["choices"] == []
        assert parts.pop()["usage"]["total_tokens"] > 0
    assert all(("usage" in part) == with_usage and part.get("usage") is None for part in parts)
    choices = [choice for part in parts for choice in part["choices"]]
    assert all(set(choice) == {"index", "delta", "logprobs", "finish_reason"} for choice in choices)
    for index in {choice["index"] for choice in choices}:
        own = [choice for choice in choices if choice["index"] == index]
        content = None if fields.get("tool_choice") else ""
        assert own[0]["delta"] == {"role": "assistant", "content": content, "refusal": None}
        assert [choice["delta"].get("role") for choice in own[1:]] == [None] * (len(own) - 1)
        assert (own[-1]["delta"], bool(own[-1]["finish_reason"])) == ({}, True)
        assert not any(choice["finish_reason"] for choice in own[:-1])


@pytest.mark.parametrize("fields", [{}, {"n": 2}, {"logprobs": 1}, {"echo": True}], ids=str)
def test_text_completions_are_of_their_schema_too(worker: RunningWorker, fields: dict[str, Any]) -> None:
    asked = {"model": MODEL, "prompt": "Once", "max_tokens": 3, "stream_options": {"include_usage": True}} | fields
    *events, _ = sse(worker, "/v1/completions", **asked)
    parts = [json.loads(event) for event in events]
    for part in parts:
        Completion.model_validate(part | {"choices": [c | {"finish_reason": "stop"} for c in part["choices"]]})
    assert all(part["usage"] is None for part in parts[:-1])
    assert parts[-1]["usage"]["completion_tokens"] in {3, 6}
    assert parts[-1]["choices"] == []


def test_many_answers_are_made_in_turns(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**CHAT | {"n": 128, "max_tokens": 1})
    assert [choice.index for choice in answer.choices] == list(range(128))
    assert answer.usage
    assert answer.usage.completion_tokens == 128
