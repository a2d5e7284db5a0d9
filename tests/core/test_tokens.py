"""Estimates of tokens: never out of bounds, whatever a caller writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.tokens import LONGEST_OUTPUT, MOST_CHOICES, estimated_output


def test_no_answer_is_longer_than_the_models_context() -> None:
    assert estimated_output(100_000, None, 1024, 8192) == 8192


@pytest.mark.parametrize(("most", "expected"), [(None, 1024), (16, 16), (0, 0), (-5, 0), (16.0, 16)])
def test_the_output_is_what_the_caller_allows(most: float | None, expected: int) -> None:
    assert estimated_output(most, None, 1024, 0) == expected


def test_every_choice_is_an_answer() -> None:
    assert estimated_output(10, 3, 1024, 0) == 30


@given(st.floats(allow_nan=False) | st.none(), st.floats(allow_nan=False) | st.none())
def test_no_number_is_too_strange(most: float | None, choices: float | None) -> None:
    assert 0 <= estimated_output(most, choices, 1024, 0) <= LONGEST_OUTPUT * MOST_CHOICES
