"""What OpenAI's client sends is taken, what it cannot send is refused.

The good bodies carry the client's own types, so the type checker vouches that it could have sent them.
"""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from openai.types.chat.completion_create_params import (
    CompletionCreateParams,
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.completion_create_params import CompletionCreateParamsNonStreaming as TextParams

from shared.core.errors import InvalidRequest
from shared.web.schemas.chat import ChatRequest, ChatResponse, CompletionRequest, CompletionResponse
from shared.web.validation import parse

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]

CONVERSATION: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "Answer in English."}]},
    {
        "role": "user",
        "name": "ann",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "A cat."},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "I would rather not say."}]},
    {"role": "assistant", "function_call": {"name": "look", "arguments": "{}"}},
    {"role": "function", "name": "look", "content": None},
    {"role": "user", "content": ""},
]

EVERYTHING: CompletionCreateParamsStreaming = {
    "model": "m",
    "messages": HELLO,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 2,
    "top_p": 0,
    "n": 8,
    "seed": -1,
    "max_tokens": 1,
    "max_completion_tokens": 1,
    "stop": ["a", "b", "c", "d"],
    "logprobs": True,
    "top_logprobs": 20,
    "logit_bias": {"50256": -100},
    "presence_penalty": -2.0,
    "frequency_penalty": 2,
    "user": "u",
    "tools": [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}, "strict": None}},
        {"type": "custom", "custom": {"name": "free"}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    },
    "reasoning_effort": "low",
    "modalities": ["text"],
    "metadata": {"run": "1"},
    "store": False,
    "service_tier": "auto",
    "verbosity": "low",
    "prediction": {"type": "content", "content": "Hello"},
}

NULLS: CompletionCreateParamsNonStreaming = {
    "model": "m",
    "messages": HELLO,
    "stream": None,
    "stream_options": None,
    "temperature": None,
    "n": None,
    "seed": None,
    "max_tokens": None,
    "stop": None,
    "logprobs": None,
    "top_logprobs": None,
    "logit_bias": None,
    "metadata": None,
}

CHOICES: list[CompletionCreateParamsNonStreaming] = [
    {"model": "m", "messages": HELLO, "tool_choice": "required"},
    {"model": "m", "messages": HELLO, "tool_choice": {"type": "custom", "custom": {"name": "free"}}},
    {
        "model": "m",
        "messages": HELLO,
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]}},
    },
    {"model": "m", "messages": HELLO, "response_format": {"type": "text"}},
    {"model": "m", "messages": HELLO, "response_format": {"type": "json_object"}},
    {"model": "m", "messages": HELLO, "stop": "\n"},
    {"model": "m", "messages": CONVERSATION},
]


@pytest.mark.parametrize("body", [EVERYTHING, NULLS, *CHOICES])
def test_what_the_client_sends_is_taken_and_passed_on_unchanged(body: CompletionCreateParams) -> None:
    request = parse(ChatRequest, json.dumps(body).encode())
    assert request.model_dump(exclude_unset=True) == body


PROMPTS: Iterable[TextParams] = [
    {"model": "m", "prompt": "The sea is", "suffix": ".", "echo": True, "best_of": 2, "logprobs": 5, "stop": ["\n"]},
    {"model": "m", "prompt": ["one", "two"], "max_tokens": 16},
    {"model": "m", "prompt": [1, 2, 3]},
    {"model": "m", "prompt": [[1, 2], [3]]},
]


@pytest.mark.parametrize("body", PROMPTS)
def test_every_kind_of_prompt_is_taken(body: TextParams) -> None:
    request = parse(CompletionRequest, json.dumps(body).encode())
    assert request.model_dump(exclude_unset=True) == body


def test_a_servers_own_parameters_pass_through() -> None:
    own = {"top_k": 40, "guided": {"deep": [1, None]}, "messages": [{"role": "user", "content": "x"}]}
    request = parse(ChatRequest, json.dumps({"model": "m"} | own).encode())
    assert request.model_dump(exclude_unset=True) == {"model": "m"} | own


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("model", "", "model"),
        ("model", None, "model"),
        ("model", 5, "model"),
        ("messages", [], "messages"),
        ("messages", "Hello", "messages"),
        ("messages", ["Hello"], "messages.0"),
        ("messages", [{"content": "x"}], "messages.0.role"),
        ("messages", [{"role": "wizard", "content": "x"}], "messages.0.role"),
        ("messages", [{"role": "user"}], "messages.0.content"),
        ("messages", [{"role": "user", "content": None}], "messages.0.content"),
        ("messages", [{"role": "user", "content": 5}], "messages.0.content"),
        ("messages", [{"role": "user", "content": []}], "messages.0.content"),
        ("messages", [{"role": "user", "content": [{"type": "text"}]}], "messages.0.content.0.text"),
        ("messages", [{"role": "user", "content": [{"type": "smell"}]}], "messages.0.content.0.type"),
        ("messages", [{"role": "tool", "content": "x"}], "messages.0.tool_call_id"),
        ("temperature", 2.1, "temperature"),
        ("temperature", -0.1, "temperature"),
        ("temperature", "1", "temperature"),
        ("temperature", True, "temperature"),
        ("top_p", 1.1, "top_p"),
        ("n", 0, "n"),
        ("n", 129, "n"),
        ("n", 1.5, "n"),
        ("n", True, "n"),
        ("seed", 2**63, "seed"),
        ("seed", "1", "seed"),
        ("max_tokens", 0, "max_tokens"),
        ("max_tokens", 2**31, "max_tokens"),
        ("max_completion_tokens", 0, "max_completion_tokens"),
        ("presence_penalty", -2.5, "presence_penalty"),
        ("frequency_penalty", 3, "frequency_penalty"),
        ("logit_bias", {"1": 101}, "logit_bias.1"),
        ("stop", ["a"] * 5, "stop"),
        ("stop", [1], "stop.0"),
        ("stream", "true", "stream"),
        ("stream", 1, "stream"),
        ("stream_options", {"include_usage": "yes"}, "stream_options.include_usage"),
        ("top_logprobs", 5, "top_logprobs"),
        ("tools", [{"type": "function"}], "tools.0.function"),
        ("tools", [{"type": "function", "function": {}}], "tools.0.function.name"),
        ("tool_choice", "perhaps", "tool_choice"),
        ("tool_choice", {"type": "function"}, "tool_choice.function"),
        ("response_format", {"type": "xml"}, "response_format.type"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name"),
        ("metadata", {"a": 1}, "metadata.a"),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: Any, param: str) -> None:
    body = {"model": "m", "messages": HELLO, field: value}
    with pytest.raises(InvalidRequest) as caught:
        parse(ChatRequest, json.dumps(body).encode())
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize("prompt", [None, 5, [], [1, "two"], [[1], 2], {}])
def test_a_prompt_that_mixes_kinds_or_is_empty_is_refused(prompt: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(CompletionRequest, json.dumps({"model": "m", "prompt": prompt}).encode())
    assert caught.value.param is not None
    assert caught.value.param.startswith("prompt")


def test_the_client_and_the_platform_read_a_chat_answer_alike() -> None:
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    ours = ChatResponse.model_validate(answer).model_dump(exclude_unset=True)
    assert ours == ChatCompletion.model_validate(answer).model_dump(exclude_unset=True) == answer


def test_the_client_and_the_platform_read_a_text_answer_alike() -> None:
    answer = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "text": " blue", "finish_reason": "length", "logprobs": None}],
    }
    ours = CompletionResponse.model_validate(answer).model_dump(exclude_unset=True)
    assert ours == Completion.model_validate(answer).model_dump(exclude_unset=True) == answer
