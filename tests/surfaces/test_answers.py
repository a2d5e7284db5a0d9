"""What came with the status 200 is an answer, a failure, or nothing yet."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.surfaces.answers import EventKind, fault_of_whole, kind_of_block, kind_of_event
from tests.gateway.answers import DONE, STREAM, USAGE, WHOLE, sse

CHOICE: dict[str, Any] = WHOLE["choices"][0]
ERROR = {"error": {"message": "overloaded", "code": 502}}
TEXT = {"index": 0, "text": "sea", "logprobs": None, "finish_reason": "length"}
FINISH = {"index": 0, "delta": {}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        WHOLE | {"error": None},
        WHOLE | {"choices": [TEXT], "object": "text_completion"},
        WHOLE
        | {"choices": [CHOICE | {"message": {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}}]},
        WHOLE | {"choices": [CHOICE | {"finish_reason": "content_filter"}]},
        {"choices": [{"message": {"content": ""}}]},
    ],
    ids=["chat", "error null", "text", "tool call", "filtered", "the fewest fields"],
)
def test_an_answer_is_one(answer: dict[str, Any]) -> None:
    assert fault_of_whole(json.dumps(answer).encode()) == ""


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (json.dumps(ERROR), "an error object"),
        (json.dumps(WHOLE | {"error": "quota"}), "an error object"),
        ('{"error": {"message": "x"}, "choices": []}', "an error object"),
        (json.dumps(WHOLE | {"choices": []}), "no choices"),
        (json.dumps(WHOLE | {"choices": None}), "no choices"),
        ("{}", "no choices"),
        ('{"detail": "Not Found"}', "no choices"),
        (json.dumps(WHOLE | {"choices": [CHOICE | {"finish_reason": "error"}]}), "a choice that failed"),
        (json.dumps(WHOLE | {"choices": [CHOICE | {"error": {"code": 502}}]}), "a choice that failed"),
        (json.dumps(WHOLE | {"choices": [{"index": 0, "finish_reason": "stop"}]}), "a choice without a message"),
        ("", "an empty body"),
        (" \n", "an empty body"),
        (json.dumps(WHOLE)[:-20], "a body that is no answer: neither JSON nor of its shape"),
        ("<html><h1>Welcome</h1></html>", "a body that is no answer: neither JSON nor of its shape"),
        ("[1, 2]", "a body that is no answer: neither JSON nor of its shape"),
        ("null", "a body that is no answer: neither JSON nor of its shape"),
        ('"text"', "a body that is no answer: neither JSON nor of its shape"),
    ],
)
def test_what_is_no_answer_is_named(body: str, fault: str) -> None:
    assert fault_of_whole(body.encode()) == fault


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}, EventKind.NOTHING_YET),
        (
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}}]},
            EventKind.NOTHING_YET,
        ),
        ({"choices": []}, EventKind.NOTHING_YET),
        ({"choices": [], "usage": {"prompt_tokens": 1}}, EventKind.NOTHING_YET),
        ({"id": "", "object": ""}, EventKind.NOTHING_YET),
        ({"choices": [{"index": 0, "text": ""}]}, EventKind.NOTHING_YET),
        ({"choices": [{"index": 0, "delta": {"content": "a"}}]}, EventKind.PART),
        ({"choices": [{"index": 0, "text": "a"}]}, EventKind.PART),
        ({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]}, EventKind.PART),
        ({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}, EventKind.PART),
        ({"choices": "odd"}, EventKind.PART),
        ({"choices": [FINISH]}, EventKind.FINISH),
        (ERROR, EventKind.ERROR),
        ({"error": "overloaded"}, EventKind.ERROR),
        ({"choices": [FINISH], "error": {"code": 1}}, EventKind.ERROR),
        ({"object": "error", "message": "bad", "code": 400}, EventKind.ERROR),
        ({"choices": [FINISH | {"finish_reason": "error"}]}, EventKind.ERROR),
        ({"choices": "odd", "error": {"code": 1}}, EventKind.ERROR),
        ({"error": None, "choices": [FINISH]}, EventKind.FINISH),
    ],
)
def test_an_event_says_what_it_brings(event: dict[str, Any], kind: EventKind) -> None:
    assert kind_of_event(json.dumps(event).encode()) is kind


def test_a_block_is_what_its_first_event_with_something_in_it_is_or_an_error() -> None:
    assert kind_of_block(b": keep-alive\n\n") is EventKind.NOTHING_YET
    assert kind_of_block(DONE) is EventKind.NOTHING_YET
    assert kind_of_block(STREAM[0] + STREAM[1]) is EventKind.PART
    assert kind_of_block(b"".join(STREAM) + USAGE + DONE) is EventKind.PART
    assert kind_of_block(STREAM[0] + STREAM[3]) is EventKind.FINISH
    assert kind_of_block(STREAM[1] + b"data: <html>\n\n") is EventKind.PART
    assert kind_of_block(b"".join(STREAM) + sse(ERROR)) is EventKind.ERROR
    assert kind_of_block(b"data: <html>\n\n" + STREAM[1]) is EventKind.UNREADABLE


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_judged(said: bytes) -> None:
    assert fault_of_whole(said)
    assert kind_of_event(said) in EventKind
