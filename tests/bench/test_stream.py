"""`omni bench stream` and `omni bench start` run from end to end."""

from pathlib import Path

import msgspec
import pytest

from bench import stream_upstream
from bench.contender import Prepared
from bench.machine import describe
from bench.main import run
from bench.processes import running
from bench.start import until
from bench.stream import QUICK
from bench.stream_load import read_all
from bench.stream_report import Plan, Report, Round, text


def test_quick_streams_all_come_to_their_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "figures.json"

    status = run("stream", ["--quick", "--json", str(kept)])

    assert status == 0, capsys.readouterr().out
    (report,) = msgspec.json.decode(kept.read_bytes(), type=list[Report])
    (row,) = report.rows
    assert row.rounds[0].finished == QUICK.streams
    assert 0 <= row.rounds[0].lateness_p50_s <= row.rounds[0].lateness_p99_s


def test_quick_start_has_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("start", ["--quick"]) == 0
    assert "Omni" in capsys.readouterr().out


def test_a_stream_that_lacks_events_is_at_fault(tmp_path: Path) -> None:
    program = stream_upstream.program(0.01)
    question = Prepared("", program).streamed(program.port, 3)
    with running(program, tmp_path / "upstream.log") as server:

        def fault() -> str:
            try:
                return read_all(question, 1, 3, 0, lambda: None)[0].fault
            except OSError as error:
                return str(error)

        until(server, fault)
        (ended,) = read_all(question, 1, 4, 0, lambda: None)

    assert ended.fault == "events are missing"


def test_a_stream_at_fault_is_told_and_makes_the_run_unsound() -> None:
    bad = Round(9, {"no end": 1}, 1e4, 0.001, 0.01, 0.02, 5e-5, 0.0)

    report = Report.over(describe(), Plan(1, 10, 4, 0, 1, 0.1), {"Omni": [bad]}, {"Portkey": "no node"})

    assert not report.is_sound
    assert not report.goals["all 10 streams finished"]
    assert "Omni, round 1: 1 × no end" in text(report)
    assert "Portkey: no node" in text(report)
