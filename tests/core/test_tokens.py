"""Estimates of tokens: never out of bounds, whatever a caller writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.tokens import LONGEST_OUTPUT, MOST_ANSWERS, estimated_output


def test_no_answer_is_longer_than_the_models_context() -> None:
    assert estimated_output(100_000, 1, 1024, 8192) == 8192


@pytest.mark.parametrize(("most", "expected"), [(None, 1024), (16, 16), (0, 0), (-5, 0), (16.0, 16)])
def test_the_output_is_what_the_caller_allows(most: float | None, expected: int) -> None:
    assert estimated_output(most, 1, 1024, 0) == expected


@pytest.mark.parametrize("answers", [1, 3, 128, 2000, 128 * 2048])
def test_every_choice_for_every_prompt_is_an_answer(answers: int) -> None:
    assert estimated_output(10, answers, 1024, 0) == 10 * answers


@given(st.floats(allow_nan=False) | st.none(), st.floats(allow_nan=False))
def test_no_number_is_too_strange(most: float | None, answers: float) -> None:
    assert 0 <= estimated_output(most, answers, 1024, 0) <= LONGEST_OUTPUT * MOST_ANSWERS
