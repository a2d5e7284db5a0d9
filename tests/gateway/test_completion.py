"""A stream and a whole answer say the same, and what is no answer is never taken for one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from functions.gateway.completion import from_stream, from_whole, stream_ended_well, to_stream
from shared.web.sse import payloads
from tests.gateway.answers import DONE, STREAM, USAGE, WHOLE, event, sse

TOOLS: dict[str, Any] = WHOLE | {
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "sum", "arguments": '{"of":[1,2]}'}},
                    {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
}
LOGPROBS = [{"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": []}]
TEXT: dict[str, Any] = WHOLE | {
    "object": "text_completion",
    "choices": [{"index": 0, "text": "sea", "logprobs": None, "finish_reason": "length"}],
}
FIRST: dict[str, Any] = WHOLE["choices"][0]
TWO: dict[str, Any] = WHOLE | {"choices": [FIRST, FIRST | {"index": 1, "logprobs": {"content": LOGPROBS}}]}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "index", "finish_reason", "tool_calls", "object", "content"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def body(*parts: bytes) -> bytes:
    return b"".join(parts)


def test_the_pieces_of_a_stream_are_put_together() -> None:
    assert from_stream(body(*STREAM, USAGE, DONE)) == WHOLE


def test_tool_calls_are_put_together_by_their_index() -> None:
    first, second = TOOLS["choices"][0]["message"]["tool_calls"]
    pieces: list[dict[str, Any]] = [
        {"role": "assistant", "content": None},
        {"tool_calls": [{"index": 0, **first, "function": {"name": "sum", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"of"'}}]},
        {"tool_calls": [{"index": 1, **second}, {"index": 0, "function": {"arguments": ":[1,2]}"}}]},
    ]
    parts = [event(piece) for piece in pieces]
    assert from_stream(body(*parts, event({}, "tool_calls"), USAGE, DONE)) == TOOLS


@pytest.mark.parametrize("answer", [WHOLE, TOOLS, TEXT, TWO], ids=["chat", "tools", "text", "two choices"])
def test_an_answer_told_as_a_stream_is_the_same_answer(answer: dict[str, Any]) -> None:
    assert from_stream(to_stream(answer, with_usage=True)) == answer
    without = {name: value for name, value in answer.items() if name != "usage"}
    assert from_stream(to_stream(answer, with_usage=False)) == without


@pytest.mark.parametrize("answer", [WHOLE, TOOLS, TWO], ids=["chat", "tools", "two choices"])
def test_an_answer_told_as_a_stream_is_of_openais_schema(answer: dict[str, Any]) -> None:
    parts = [json.loads(payload) for payload in payloads(to_stream(answer, with_usage=True)) if payload != b"[DONE]"]
    for part in parts:
        ChatCompletionChunk.model_validate(part, strict=True)
    assert [part["usage"] for part in parts[:-1]] == [None] * (len(parts) - 1)
    content = None if answer is TOOLS else ""
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": content, "refusal": None}


@pytest.mark.parametrize(
    "piece",
    [{"content": ["a"]}, {"role": "user"}, {"speaker": 7}, {"content": {"a": "b"}}],
    ids=["a list", "another role", "a number", "an object"],
)
def test_pieces_that_do_not_fit_together_are_no_answer(piece: dict[str, Any]) -> None:
    parts = [event({"role": "assistant", "content": "a", "speaker": 1}), event(piece), event({}, "stop"), DONE]
    assert from_stream(body(*parts)) is None


@given(st.lists(values, max_size=3), values)
def test_whatever_an_upstream_says_reading_it_does_not_fail(told: list[Any], whole: Any) -> None:
    answers = [from_stream(body(*map(sse, told), DONE)), from_whole(json.dumps(whole).encode())]
    for answer in answers:
        if answer is not None:
            to_stream(answer, with_usage=True)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_without_failing(said: bytes) -> None:
    assert from_whole(said) is None
    assert from_stream(b"data: " + said + b"\n\n" + DONE) is None
    stream_ended_well(said)


@given(st.text(), st.text())
def test_texts_pass_through_a_stream_unchanged(first: str, second: str) -> None:
    answer = from_stream(body(event({"content": first}), event({"content": second}), event({}, "stop"), DONE))
    assert answer
    assert answer["choices"][0]["message"]["content"] == first + second
    again = from_stream(to_stream(answer, with_usage=False))
    assert again == answer
