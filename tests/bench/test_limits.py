"""`omni bench limits` runs from end to end, and its windows are counted right."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.limits_report import Answer, Case, Plan, worst_window
from bench.main import run


def test_quick_keeps_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    status = run("limits", ["--quick"])

    printed = capsys.readouterr().out
    assert status == 0, printed
    assert "2 processes" in printed


@given(st.lists(st.floats(0, 200), max_size=60))
def test_the_worst_window_is_the_worst_of_all(times: Sequence[float]) -> None:
    ordered = sorted(times)
    brute = max((sum(first <= each < first + 60 for each in ordered) for first in ordered), default=0)

    assert worst_window(ordered) == brute


def test_what_is_not_admitted_is_not_used() -> None:
    answers = [Answer(0.5 * each, 200 if each % 2 else 429) for each in range(300)]

    case = Case.over(Plan((1,), 120, 1, 150), 1, answers, 30, 0.0)

    assert (case.requests, case.admitted, case.worst_window) == (300, 150, 60)
    assert case.used == pytest.approx(0.5, abs=0.01)
    assert case.calls_per_1000 == 100
