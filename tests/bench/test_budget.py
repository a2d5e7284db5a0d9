"""`omni bench budget`: real processes on one budget, and a killed one among them."""

from pathlib import Path

import msgspec
import pytest

from bench.budget import COST, Report
from bench.main import run


def test_quick_no_budget_is_exceeded_and_a_killed_process_frees_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "figures.json"
    status = run("budget", ["--quick", "--json", str(kept)])
    assert status == 0, capsys.readouterr().out
    report = msgspec.json.decode(kept.read_bytes(), type=Report)
    tight, unbounded, killed = report.spent
    for each in report.spent:
        assert each.budget - each.lost - COST <= each.at_the_upstream <= each.budget + COST
    assert tight.at_the_upstream == tight.in_the_ledger
    assert unbounded.at_the_upstream == unbounded.in_the_ledger
    assert (tight.lost, unbounded.lost) == (0, 0)
    assert killed.at_the_upstream <= killed.in_the_ledger <= killed.budget + COST
