"""Both kinds of mock upstream give the same answer, and tell how often they were asked."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import load, mock
from bench.contender import question
from bench.processes import Program, free_port, running
from bench.start import until_answer


def _chosen(folder: Path) -> Program:
    """nginx, where there is one."""
    return mock.program(folder)


def _python(_: Path) -> Program:
    port = free_port()
    return Program((sys.executable, "-m", "bench.mock", str(port)), port)


@pytest.mark.parametrize("program", [_chosen, _python])
def test_every_request_is_answered_and_counted(program: Callable[[Path], Program], tmp_path: Path) -> None:
    upstream = program(tmp_path)
    with running(upstream, tmp_path / "upstream.log") as server:
        until_answer(server, question(upstream.port))
        before = mock.asked(upstream.port)

        found = load.apply(question(upstream.port), connections=4, seconds=0.1)

        assert found.failures == {}
        assert mock.asked(upstream.port) - before - 1 == len(found.latencies_s) > 0
