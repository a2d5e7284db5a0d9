"""`omni bench jobs` runs from end to end, and judges what it finds."""

from pathlib import Path

import msgspec
import pytest

from bench.jobs_report import Plan, Report, Round, text
from bench.machine import describe
from bench.main import run


def test_quick_measures_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "figures.json"

    status = run("jobs", ["--quick", "--json", str(kept)])

    assert status == 0, capsys.readouterr().err
    report = msgspec.json.decode(kept.read_bytes(), type=Report)
    (found,) = report.rounds
    assert len(found.enqueued_s) == len(found.started_s) == 5
    assert min(*found.enqueued_s, *found.started_s, found.jobs_per_s, found.alone_s, found.behind_s) > 0


def test_goals_are_judged_by_the_medians() -> None:
    good = Round([0.004, 0.9], [0.01, 0.9], 301.0, 1.0, 1.9)
    slow = Round([0.006, 0.006], [0.03, 0.03], 299.0, 1.0, 2.1)
    assert all(Report.over(describe(), Plan(1), [Round([0.004], [0.01], 301.0, 1.0, 1.9)], 0.0).goals.values())
    assert not any(Report.over(describe(), Plan(1), [slow], 0.0).goals.values())
    judged = Report.over(describe(), Plan(3), [good, slow, slow], 0.0)
    assert judged.times_alone.median == 2.1
    assert "MISSED" in text(judged)
    assert Report.over(describe(), Plan(1), [good], 0.5).goals == {}
