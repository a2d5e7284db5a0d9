"""`omni bench gateway` runs from end to end, and never makes a number up."""

import sys
from pathlib import Path

import msgspec
import pytest

from bench.contender import Contender, Prepared, Site, Unavailable
from bench.cores import Cores
from bench.figures import Figure
from bench.gateway import QUICK, compare
from bench.gateway_report import Report
from bench.gateway_text import text
from bench.machine import describe
from bench.main import run
from bench.processes import Program, free_port
from bench.surroundings import MOST


def test_quick_measures_the_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "figures.json"

    status = run("gateway", ["--quick", "--json", str(kept)])

    assert status == 0, capsys.readouterr().out
    report = msgspec.json.decode(kept.read_bytes(), type=Report)
    (row,) = report.rows
    assert row.summary is not None
    assert row.summary.requests_per_s.least > 0
    assert row.rounds[0].memory_rest_bytes > 0
    assert row.rounds[0].failures == {}
    assert bool(report.goals) == (report.others_share <= MOST)
    assert "Omni" in capsys.readouterr().out


def test_a_peer_that_cannot_be_had_is_named_with_the_reason() -> None:
    def prepare(_: Site) -> Prepared:
        raise Unavailable("its registry does not answer")

    report = compare([Contender("Peer", "nothing", prepare)], QUICK)

    assert report.rows[0].summary is None
    assert "Peer has no figures: its registry does not answer" in text(report)


def test_a_contender_that_answers_by_itself_has_no_figures() -> None:
    def prepare(_: Site) -> Prepared:
        port = free_port()
        return Prepared("1", Program((sys.executable, "-m", "bench.mock", str(port)), port))

    (row,) = compare([Contender("Peer", "nothing", prepare)], QUICK).rows

    assert row.summary is None
    assert "asked the upstream only 0 times" in row.trouble


def test_an_unknown_bench_is_refused() -> None:
    assert run("everything", []) == 2


def test_a_figure_is_the_median_with_its_range() -> None:
    assert Figure.over([3.0, 1.0, 2.0]) == Figure(2.0, 1.0, 3.0)
    assert Figure.over([0.9e-3, 1.0e-3, 1.1e-3]).text(1e-3, 2) == "1.00 ±10%"


def test_one_core_is_said_to_be_shared() -> None:
    report = Report.over(describe(), Cores(0, 0), "nginx", QUICK, [])

    assert "every rate is too low" in text(report)
