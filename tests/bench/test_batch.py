"""`omni bench batch` runs from end to end, and checks what comes out."""

from pathlib import Path

import msgspec
import pytest

from bench.batch import Report
from bench.main import run


def test_quick_measures_a_small_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "figures.json"

    status = run("batch", ["--quick", "--json", str(kept)])

    assert status == 0, capsys.readouterr().err
    report = msgspec.json.decode(kept.read_bytes(), type=Report)
    assert report.plan.lines == 300
    assert 0 < report.rounds[0].validated_s < report.rounds[0].total_s
    assert "lines/s" in capsys.readouterr().out
