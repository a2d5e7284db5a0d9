"""Conversations with the real model, through the official OpenAI client."""

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.worker.running import MODEL, RunningWorker

HELLO: Any = [{"role": "user", "content": "Say hello."}]
NO_END = {"0": -100, "2": -100}
"""Keeps the model from ending an answer before its limit: its two end tokens never win."""
CHAT: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_tokens": 8, "logit_bias": NO_END}


def sse(worker: RunningWorker, path: str, **body: Any) -> list[str]:
    """The `data` of every event of a stream."""
    with worker.http() as http:
        response = http.post(path, json={"stream": True} | body)
    assert response.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("data: ") for line in response.text.splitlines() if line]


def test_an_answer_has_text_usage_and_the_model_s_name(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.model == MODEL
    assert answer.object == "chat.completion"
    assert answer.usage
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_a_closing_assistant_message_is_never_repeated_to_the_caller(worker: RunningWorker) -> None:
    """Also when the first token is held back, because a stop could begin with it."""
    closing = [*HELLO, {"role": "assistant", "content": "ZEBRA-42"}]
    fields: dict[str, Any] = CHAT | {"messages": closing, "temperature": 0}
    with worker.http() as http:
        said = http.post("/v1/chat/completions", json=fields).json()["choices"][0]["message"]["content"]
    first = said.split()[0]
    streamed = sse(worker, "/v1/chat/completions", **fields | {"stop": [f"{first[:1]}~~"], "max_tokens": 3})
    assert "ZEBRA" not in said + "".join(streamed)


def test_nothing_of_the_engine_s_own_shows(worker: RunningWorker) -> None:
    with worker.http() as http:
        answer = http.post("/v1/chat/completions", json=CHAT).json()
    assert set(answer) <= {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert not [event for event in sse(worker, "/v1/chat/completions", **CHAT) if "timings" in event]


def test_a_stream_begins_with_the_role_and_ends_with_done(worker: RunningWorker) -> None:
    events = sse(worker, "/v1/chat/completions", **CHAT)
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_stream_tells_usage_only_when_asked(worker: RunningWorker) -> None:
    without = [json.loads(event) for event in sse(worker, "/v1/chat/completions", **CHAT)[:-1]]
    assert not [chunk for chunk in without if chunk.get("usage")]
    *_, last, done = sse(worker, "/v1/chat/completions", stream_options={"include_usage": True}, **CHAT)
    assert done == "[DONE]"
    assert json.loads(last)["choices"] == []
    assert json.loads(last)["usage"]["completion_tokens"] == 8


def test_plain_and_streamed_answers_are_the_same(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(**CHAT, temperature=0)
    with client.chat.completions.create(**CHAT, temperature=0, stream=True) as stream:
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert plain.choices[0].message.content == streamed


def test_max_completion_tokens_is_the_newer_name_of_max_tokens(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=3, logit_bias=NO_END)
    assert answer.usage
    assert answer.usage.completion_tokens == 3


def test_an_answer_stops_before_a_stop_text(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Count: one, two, three, four, five."}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=24, stop=[" ", ""])
    assert " " not in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"


def test_the_same_seed_gives_the_same_answer(client: openai.OpenAI) -> None:
    def text(seed: int) -> str | None:
        answer: ChatCompletion = client.chat.completions.create(**CHAT, seed=seed, temperature=1.8)
        return answer.choices[0].message.content

    assert text(-1) == text(-1) != text(7)


def test_with_a_seed_each_choice_still_is_another(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**CHAT, n=3, seed=1, temperature=1.8)
    assert len({choice.message.content for choice in answer.choices}) > 1


def test_every_choice_is_paid_for_and_the_prompt_once(client: openai.OpenAI) -> None:
    one, three = (client.chat.completions.create(**CHAT, n=n).usage for n in (1, 3))
    assert one
    assert three
    assert three.prompt_tokens == one.prompt_tokens
    assert three.completion_tokens == 24


def test_choices_stream_side_by_side(worker: RunningWorker) -> None:
    *events, usage, done = sse(
        worker, "/v1/chat/completions", **CHAT, n=2, temperature=1.8, stream_options={"include_usage": True}
    )
    chunks = [json.loads(event) for event in events]
    assert done == "[DONE]"
    assert json.loads(usage)["usage"]["completion_tokens"] == 16
    assert len({chunk["id"] for chunk in [*chunks, json.loads(usage)]}) == 1
    for index in (0, 1):
        own = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert own[-1]["finish_reason"] == "length"


@pytest.mark.parametrize("top", [None, 0, 2])
def test_logprobs_tell_as_many_alternatives_as_asked(client: openai.OpenAI, top: int | None) -> None:
    given = CHAT if top is None else CHAT | {"top_logprobs": top}
    answer = client.chat.completions.create(**given, logprobs=True)
    told = answer.choices[0].logprobs
    assert told
    assert told.content
    assert "".join(token.token for token in told.content) == answer.choices[0].message.content
    assert {len(token.top_logprobs) for token in told.content} == {top or 0}


def test_a_prompt_beyond_the_context_is_refused_by_name(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "word " * 9000}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model=MODEL, messages=messages, stream=stream)
        assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")
