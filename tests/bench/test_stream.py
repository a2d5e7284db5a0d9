"""`omni bench stream` and `omni bench start` run from end to end."""

from pathlib import Path

import msgspec
import pytest

from bench import stream_upstream
from bench.load import Question
from bench.machine import describe
from bench.main import run
from bench.mock import PATH
from bench.processes import running
from bench.start import until
from bench.stream import JSON, QUICK
from bench.stream_load import read_all
from bench.stream_report import Plan, Report, Round, text


def test_quick_streams_all_come_to_their_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "figures.json"

    status = run("stream", ["--quick", "--json", str(kept)])

    assert status == 0, capsys.readouterr().out
    (row,) = msgspec.json.decode(kept.read_bytes(), type=Report).rows
    assert row.rounds[0].finished == QUICK.streams
    assert row.rounds[0].slowest >= 0.75


def test_quick_start_has_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("start", ["--quick"]) == 0
    assert "Omni" in capsys.readouterr().out


def test_a_stream_that_lacks_words_is_at_fault(tmp_path: Path) -> None:
    program = stream_upstream.program(0.01)
    question = Question(program.port, PATH, JSON, stream_upstream.request(3), b"")
    with running(program, tmp_path / "upstream.log") as server:

        def fault() -> str:
            try:
                return read_all(question, 1, 3, 0, lambda: None)[0].fault
            except OSError as error:
                return str(error)

        until(server, fault)
        (told,) = read_all(question, 1, 4, 0, lambda: None)

    assert told.fault == "words are missing"


def test_a_stream_at_fault_is_told_and_makes_the_run_unsound() -> None:
    bad = Round(9, {"no end": 1}, 1e4, 0.001, 0.01, 1.0, 50, 0.0)

    report = Report.over(describe(), Plan(1, 10, 4, 0, 1, 0.1), {"Omni": [bad]}, {"Portkey": "no node"})

    assert not report.is_sound
    assert not report.goals["all 10 streams finished"]
    assert "Omni, round 1: 1 × no end" in text(report)
    assert "Portkey: no node" in text(report)
