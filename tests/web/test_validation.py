"""Request bodies: whatever the bytes are, the worst answer is a 400 that says why and where."""

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.core.errors import InvalidRequest
from shared.web.schemas.chat import ChatRequest, CompletionRequest
from shared.web.schemas.keys import KeyRequest
from shared.web.structure import check_structure
from shared.web.validation import decode, parse

TEXTS = st.text() | st.text('[]{}"\\')
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from(sorted(ChatRequest.model_fields))


def refusal(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, 64)
    return caught.value


def nesting(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(nesting, value.values()), default=0)
    return 1 + max(map(nesting, value), default=0) if isinstance(value, list) else 0


def problem(model: type[BaseModel], fields: dict[str, Any]) -> InvalidRequest | None:
    """What is wrong with the fields as that request; None when they make one."""
    try:
        parse(model, json.dumps(fields).encode())
    except InvalidRequest as error:
        return error
    return None


def key_refusal(**fields: Any) -> InvalidRequest:
    error = problem(KeyRequest, fields)
    assert error is not None
    return error


@given(st.binary())
def test_arbitrary_bytes_are_decoded_or_refused(body: bytes) -> None:
    with suppress(InvalidRequest):
        decode(body, 64)


@given(
    st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b"\xff", b":", b",", b"1", b"a"])), st.integers(1, 5)
)
def test_broken_structure_is_decoded_or_refused(parts: list[bytes], max_depth: int) -> None:
    with suppress(InvalidRequest):
        decode(b"".join(parts), max_depth)


@given(VALUES)
def test_json_is_decoded_to_what_it_says(value: Any) -> None:
    assert decode(json.dumps(value).encode(), 64) == value


@given(VALUES, st.integers(0, 6))
def test_depth_counts_brackets_that_nest_and_none_inside_texts(value: Any, max_depth: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    if nesting(value) <= max_depth:
        check_structure(body, max_depth)
    else:
        with pytest.raises(InvalidRequest):
            check_structure(body, max_depth)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_ten_thousand_levels_are_too_deep(opening: bytes) -> None:
    error = refusal(opening * 10_000)
    assert error.code == "too_deep"
    assert "64" in error.message


def test_a_depth_that_the_decoder_cannot_reach_is_refused_too() -> None:
    with pytest.raises(InvalidRequest, match="too deep"):
        decode(b"[" * 100_000 + b"]" * 100_000, 1_000_000)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"a": 1,}', "byte 8"),
        (b'{"a": [1, 2', "byte 11"),
        (b"nonsense", "byte 4"),
        (b"\xef\xbb\xbf{}", "byte 0"),
        (b'{"a": NaN}', "byte 6"),
        (b'{"a": -Infinity}', "byte 7"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
    ],
)
def test_what_is_not_json_is_refused_with_the_reason(body: bytes, said: str) -> None:
    error = refusal(body)
    assert error.code == "invalid_json"
    assert said in error.message


def test_the_last_of_two_fields_with_one_name_counts() -> None:
    assert decode(b'{"a": 1, "a": 2}', 64) == {"a": 2}


@given(st.sampled_from([ChatRequest, CompletionRequest, KeyRequest]), st.dictionaries(FIELDS | st.text(), VALUES))
def test_arbitrary_fields_make_a_request_or_a_sentence(model: type[BaseModel], fields: dict[str, Any]) -> None:
    if error := problem(model, fields):
        assert error.message.endswith(".")
        assert len(error.message) < 1000


@given(FIELDS, VALUES)
def test_a_single_wrong_field_is_the_one_that_is_named(name: str, value: Any) -> None:
    fields = {"model": "m", "messages": [{"role": "user", "content": "x"}], name: value}
    if error := problem(ChatRequest, fields):
        assert error.param is not None
        assert error.param.split(".")[0] == name


@pytest.mark.parametrize("body", [b"[]", b"5", b"null", b'"text"'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="The body should be an object") as caught:
        parse(KeyRequest, body)
    assert caught.value.param is None


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({}, "name", "is required"),
        ({"name": ""}, "name", "at least 1 character"),
        ({"name": "n" * 101}, "name", "at most 100 characters"),
        ({"name": 5}, "name", "valid string"),
        ({"name": "n", "tenant": "Acme Inc"}, "tenant", "pattern"),
        ({"name": "n", "tenant": "t" * 65}, "tenant", "pattern"),
        ({"name": "n", "tier": "gold"}, "tier", "'free', 'basic', 'premium' or 'master'"),
        ({"name": "n", "scopes": []}, "scopes", "at least 1 item"),
        ({"name": "n", "scopes": ["jobs", "system"]}, "scopes.1", "'inference', 'jobs', 'admin' or 'platform_admin'"),
        ({"name": "n", "requests_per_minute": -1}, "requests_per_minute", "greater than or equal to 0"),
        ({"name": "n", "requests_per_minute": "5"}, "requests_per_minute", "valid integer"),
        ({"name": "n", "requests_per_minute": True}, "requests_per_minute", "valid integer"),
        ({"name": "n", "requests_per_minut": 5}, "requests_per_minut", "not a field"),
    ],
)
def test_the_wrong_field_of_a_key_is_named_and_explained(fields: dict[str, Any], param: str, said: str) -> None:
    error = key_refusal(**fields)
    assert error.param == param
    assert said in error.message


def test_only_the_first_problem_is_told_and_the_others_counted() -> None:
    error = key_refusal(name=5, tier="gold", requests_per_minute=-1)
    assert error.param == "name"
    assert "2 more problems" in error.message


def test_the_gateway_can_check_depth_without_pydantic() -> None:
    script = "import sys, shared.web.validation; sys.exit('pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
