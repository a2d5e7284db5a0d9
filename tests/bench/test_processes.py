"""A server under test runs on its core, is weighed whole, and leaves nothing behind."""

import os
import sys
from pathlib import Path

import pytest

from bench.processes import BenchError, Program, Server, running
from tests.waiting import wait_until

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"


def _children(server: Server) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def _is_gone(pid: int) -> bool:
    """A process that ended and was not yet waited for has no command line any more."""
    command_line = Path(f"/proc/{pid}/cmdline")
    return not (command_line.exists() and command_line.read_text())


def test_the_whole_tree_is_pinned_weighed_and_stopped(tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    with running(Program((sys.executable, "-c", PARENT), 0), tmp_path / "log", core) as server:
        wait_until(lambda: _children(server), description="the child")
        (child,) = _children(server)

        assert os.sched_getaffinity(child) == {core}
        assert server.memory_bytes() > 2**20
        assert server.cpu_s() >= 0
    wait_until(lambda: _is_gone(child), description="the child's end")


def test_the_bench_itself_stays_where_it_was(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    with running(Program((sys.executable, "-c", ""), 0), tmp_path / "log", max(before)):
        assert os.sched_getaffinity(0) == before


def test_a_server_that_ends_is_quoted(tmp_path: Path) -> None:
    with running(
        Program((sys.executable, "-c", "raise SystemExit('no port left')"), 0), tmp_path / "server.log"
    ) as server:

        def ended() -> bool:
            try:
                server.require_alive()
            except BenchError as error:
                return str(error) == "server ended with status 1: no port left"
            return False

        wait_until(ended, description="the end")


def test_nothing_but_the_basics_reaches_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_LOG_LEVEL", "DEBUG")
    show = "import os; print(sorted(os.environ))"
    with running(Program((sys.executable, "-c", show), 0, {"OWN": "1"}), tmp_path / "log"):
        wait_until(lambda: "OWN" in (tmp_path / "log").read_text(), description="the variables")

    assert "OMNI_LOG_LEVEL" not in (tmp_path / "log").read_text()
