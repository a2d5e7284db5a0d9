"""What a server reports of its tokens is read field by field; an odd one takes nothing away from the others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.surfaces.usage import NOTHING, Usage, read

PLAIN: dict[str, Any] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
BOTH = Usage(11, 7)


def of(usage: Any) -> Usage | None:
    return read(json.dumps({"choices": [], "usage": usage}).encode())


@pytest.mark.parametrize(
    "usage",
    [
        PLAIN,
        PLAIN | {"prompt_tokens_details": {"cached_tokens": None}},
        PLAIN | {"prompt_tokens_details": None, "completion_tokens_details": None},
        PLAIN | {"prompt_tokens_details": []},
        PLAIN | {"prompt_tokens_details": {"cached_tokens": -1}},
        PLAIN | {"prompt_tokens_details": {"cached_tokens": "many"}},
        PLAIN | {"total_tokens": 10**30},
        PLAIN | {"cost": "free", "queue_time": None, "total_time": 1.5},
        {"prompt_tokens": 11.0, "completion_tokens": 7.0},
        {"prompt_tokens": "11", "completion_tokens": "7"},
        {"input_tokens": 11, "output_tokens": 7},
        {"prompt_tokens": 11, "completion_tokens": None, "total_tokens": 18},
        {"completion_tokens": 7, "total_tokens": 18},
    ],
)
def test_both_counts_are_read_in_every_form(usage: Any) -> None:
    assert of(usage) == BOTH


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 11, "completion_tokens": None, "total_tokens": 11}, Usage(11, 0)),
        ({"prompt_tokens": 11, "completion_tokens": -7}, Usage(11)),
        ({"prompt_tokens": 10**20, "completion_tokens": 7}, Usage(None, 7)),
        ({"prompt_tokens": True, "completion_tokens": 7}, Usage(None, 7)),
        ({"prompt_tokens": "nan", "completion_tokens": 7}, Usage(None, 7)),
        ({"prompt_tokens": [11], "completion_tokens": 7}, Usage(None, 7)),
    ],
)
def test_a_count_that_is_none_leaves_the_other(usage: Any, expected: Usage) -> None:
    assert of(usage) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (PLAIN | {"prompt_tokens_details": {"cached_tokens": 4}}, Usage(11, 7, 4)),
        (PLAIN | {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 7}, Usage(11, 7, 4)),
        (PLAIN | {"cached_tokens": 4}, Usage(11, 7, 4)),
        (PLAIN | {"cached_tokens": 4000}, Usage(11, 7, 11)),
        (PLAIN | {"prompt_tokens_details": {"cached_tokens": 4000}}, Usage(11, 7, 11)),
        (PLAIN | {"cache_read_input_tokens": 4}, Usage(11, 7, 4)),
        ({"input_tokens": 11, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 4}}, Usage(11, 7, 4)),
        (
            {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2},
            Usage(11, 7, 4),
        ),
    ],
)
def test_cached_tokens_are_read_and_counted_once(usage: Any, expected: Usage) -> None:
    assert of(usage) == expected


def test_thoughts_counted_beside_the_output_belong_to_it() -> None:
    gemini = {"promptTokenCount": 11, "candidatesTokenCount": 3, "thoughtsTokenCount": 4, "totalTokenCount": 18}
    assert read(json.dumps({"usageMetadata": gemini}).encode()) == BOTH
    beside = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 18}
    assert of(beside | {"completion_tokens_details": {"reasoning_tokens": 4}}) == BOTH
    assert of(PLAIN | {"completion_tokens_details": {"reasoning_tokens": 4}}) == BOTH


@pytest.mark.parametrize(
    "payload",
    [
        {"usage": PLAIN},
        {"x_groq": {"id": "r", "usage": PLAIN}},
        {"message": {"usage": {"input_tokens": 11, "output_tokens": 7}}},
        {"response": {"usage": {"input_tokens": 11, "output_tokens": 7}}},
    ],
)
def test_usage_is_found_wherever_a_server_puts_it(payload: Any) -> None:
    assert read(json.dumps(payload).encode()) == BOTH


def test_usage_reported_with_each_choice_adds_up() -> None:
    each = [read(json.dumps({"choices": [{"index": n, "usage": PLAIN}]}).encode()) or NOTHING for n in range(2)]
    merged = each[0].then(each[1]).then(each[1])
    assert (merged.input, merged.output) == (11, 14)


@pytest.mark.parametrize("usage", [None, [], [PLAIN], "11", 11, {}, {"tokens": 5}])
def test_what_reports_nothing_is_no_usage(usage: Any) -> None:
    assert of(usage) is None


def test_an_odd_number_elsewhere_loses_nothing() -> None:
    odd = b'{"x": 1e999, "y": %b, "usage": {"prompt_tokens": 11, "completion_tokens": 7, "z": 1e999}}' % (b"9" * 5000)
    assert read(odd) == BOTH


def test_a_later_zero_or_missing_count_overwrites_nothing() -> None:
    assert Usage(11, 0).then(Usage(0, 7)).then(Usage(0, 0, 0)).then(Usage()) == Usage(11, 7, 0)
    assert Usage(11, 1).then(Usage(11, 4)) == Usage(11, 4)


@given(st.binary(max_size=60) | st.from_regex(rb'\{"usage": ?\{"prompt_tokens": ?.{0,20}\}\}', fullmatch=True))
def test_reading_never_fails(payload: bytes) -> None:
    read(payload)
