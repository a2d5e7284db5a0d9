"""What came of an answer is counted by its events or its bytes, whichever is more; nothing but the answer counts."""

import json
from typing import Any

import pytest

from shared.surfaces.tally import PIECE_BYTES, AnswerTally, generated_bytes
from shared.surfaces.usage import Usage
from tests.gateway.answers import DONE, STREAM, USAGE, event


def output(*blocks: bytes) -> int:
    tally = AnswerTally()
    for block in blocks:
        tally.take(block)
    return tally.output


def call(arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


def test_an_event_is_a_token_at_least() -> None:
    assert output(*STREAM, USAGE, DONE) == len(STREAM)
    assert output(b"".join([*STREAM, DONE])) == len(STREAM)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_comments_pings_and_errors_are_no_tokens(line_end: bytes) -> None:
    told = b": PROCESSING\n\n: keep-alive\n\n" + b"data: {}\n\n" + b'data: {"error": {"code": 502}}\n\n'
    assert output((told + event({"content": "a"}) + b": PROCESSING\n\n").replace(b"\n", line_end)) == 1
    assert output(told.replace(b"\n", line_end)) == 0


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "word " * 200},
        {"content": "", "reasoning_content": "word " * 200},
        {"content": None, "reasoning": "word " * 200},
        {"refusal": "word " * 200},
        call("word " * 200),
        {"function_call": {"arguments": "word " * 200}},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "word " * 200}]}]},
    ],
)
def test_an_event_of_many_tokens_counts_by_its_bytes(delta: dict[str, Any]) -> None:
    assert output(event(delta), event(delta)) == 500


def test_bytes_are_those_of_the_text_not_of_the_json_around_it() -> None:
    assert output(event({"content": "\n" * 400}, logprobs={"content": [{"token": "x" * 999}]})) == 100
    assert output(event({"content": 'say "content": "' * 25})) == 100
    assert output(event({"content": "é" * 200})) == 100


def test_a_whole_answer_counts_by_its_texts() -> None:
    message = {"role": "assistant", "content": "é\n" * 100, **call("x" * 100)}
    tally = AnswerTally()
    tally.take_whole(json.dumps({"id": "x" * 999, "choices": [{"message": message}]}).encode())
    assert tally.output == 100


def test_what_came_since_the_last_report_is_added_to_it() -> None:
    tally = AnswerTally()
    tally.take(event({"content": "word " * 80}))
    tally.note(Usage(11, 90))
    assert tally.output == 90
    tally.take(event({"content": "word " * 8}))
    assert tally.output == 100
    tally.note(Usage(0, 0))
    assert tally.output == 100


def test_no_output_in_the_last_report_is_none_and_in_an_early_one_not_known_yet() -> None:
    tally = AnswerTally()
    tally.note(Usage(11, 0))
    tally.take(event({"content": "word " * 80}))
    assert (tally.output, tally.final_output) == (100, 100)
    tally.note(Usage(11, 0))
    assert (tally.output, tally.final_output) == (100, 0)


def test_at_the_end_the_last_report_counts_unless_most_came_after_it() -> None:
    tally = AnswerTally()
    tally.take(event({"content": "word " * 80}))
    tally.note(Usage(11, 7))
    tally.take(event({}, "stop"))
    assert tally.final_output == 7
    tally.take(event({"content": "."}))
    assert tally.final_output == 7
    tally.take(event({"content": "word " * 80}))
    assert tally.final_output == 100


@pytest.mark.parametrize("before", range(PIECE_BYTES - 4, PIECE_BYTES + 3))
@pytest.mark.parametrize("special", [b'\\"', b"\\\\", "é".encode()])
def test_a_text_across_the_edge_of_a_piece_is_counted_whole(special: bytes, before: int) -> None:
    text = b"x" * before + special + b"x" * 10
    assert generated_bytes(b'{"content": "%b", "name": "other"}' % text) == len(json.loads(b'"%b"' % text).encode())
