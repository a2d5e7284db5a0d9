"""What is too deep or too wide is refused before it is decoded, wherever its bytes stand."""

import json
import tracemalloc

import pytest

from shared.core.errors import InvalidRequest
from shared.web.schemas.chat import ChatRequest, CompletionRequest
from shared.web.schemas.jobs import JobRequest
from shared.web.structure import MOST_CONTAINERS, MOST_FIELDS, MOST_TEXTS, MOST_VALUES, PIECE_BYTES, check_structure
from shared.web.validation import parse

DEPTH = 3
TEXTS = ['"', "\\", '\\"', '\\\\"', "[[[[[[", '"[[[[', "]]]]", "\n", "\\\\"]


def code(body: bytes, max_depth: int = DEPTH) -> str:
    try:
        check_structure(body, max_depth)
    except InvalidRequest as error:
        return error.code
    return ""


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("before", range(PIECE_BYTES - 12, PIECE_BYTES + 2))
def test_texts_across_the_edge_of_a_piece_hide_their_brackets_and_nothing_else(text: str, before: int) -> None:
    body = json.dumps(["a" * before + text, [[]], {"k": [text]}]).encode()
    assert code(body) == ""
    assert code(body, DEPTH - 1) == "too_deep"


def test_depth_is_counted_over_pieces() -> None:
    half = b" " * PIECE_BYTES
    assert code(b"[" + half + b"[" + half + b"[" + half + b"]]]") == ""
    assert code(b"[" + half + b"[" + half + b"[" + half + b"[" + half + b"]]]]") == "too_deep"


def test_a_flood_of_values_is_too_much() -> None:
    assert code(b"[" + b",".join([b"[]"] * (MOST_CONTAINERS - 1)) + b"]") == ""
    assert code(b"[" + b",".join([b"[]"] * (MOST_CONTAINERS + 1)) + b"]") == "too_many_values"
    assert code(b"[" + b"0," * (MOST_VALUES + 1) + b"0]") == "too_many_values"
    assert code(b"[" + b'"",' * (MOST_TEXTS - 1) + b'""]') == ""
    assert code(b"[" + b'"",' * MOST_TEXTS + b'""]') == "too_many_values"
    assert code(b"{" + b'"a":0,' * MOST_FIELDS + b'"a":0}') == "too_many_values"
    assert code(json.dumps(["[,[:" * MOST_VALUES]).encode()) == ""


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (ChatRequest, b'{"model":"m","messages":[%b]}' % b",".join([b"0"] * 500_000)),
        (ChatRequest, b'{"model":"m","messages":[%b]}' % b",".join([b"{}"] * 90_000)),
        (ChatRequest, b'{"model":"m","messages":[{"role":"user","content":[%b]}]}' % b",".join([b"{}"] * 90_000)),
        (ChatRequest, b'{"model":"m","tools":[%b]}' % b",".join([b"0"] * 500_000)),
        (ChatRequest, b'{"model":"m","metadata":{%b}}' % b",".join(b'"%d":0' % each for each in range(100_000))),
        (CompletionRequest, b'{"model":"m","prompt":[%b]}' % b",".join([b"null"] * 200_000)),
        (JobRequest, b'{"task":"t","input":{},%b}' % b",".join(b'"%d":0' % each for each in range(100_000))),
    ],
)
def test_wrong_items_by_the_thousand_cost_little_memory(
    model: type[ChatRequest | CompletionRequest | JobRequest], body: bytes
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            parse(model, body)
        assert tracemalloc.get_traced_memory()[1] < 40 * len(body)
    finally:
        tracemalloc.stop()
