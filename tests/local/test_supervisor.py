import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.supervisor import Patience, StartFailed
from tests.local.trial import STEADY, Trial, tiny
from tests.machine import is_running
from tests.waiting import wait_until

CRASHING = "print('cannot go on: no such file'); raise SystemExit(3)"
SAYS_GOODBYE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("goodbye", flush=True)))
print("up", flush=True)
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + STEADY
NEVER = "/nonexistent"
FORKING = "import os; os.fork();" + STEADY


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def test_a_crashed_process_is_started_again_and_the_log_says_so(trial: Trial) -> None:
    async def kill_it(trial: Trial) -> None:
        await trial.until(lambda: trial.pids("worker"), "first start")
        os.kill(trial.pids("worker")[0], signal.SIGKILL)
        await trial.until(lambda: len(trial.pids("worker")) == 2, "second start")

    trial.run([tiny("worker")], kill_it)

    assert any("worker was killed by SIGKILL; starting it again in 0.01 s" in line for line in trial.said("omni"))


def test_what_a_crashed_process_forked_goes_with_it(trial: Trial) -> None:
    """A server's orphaned worker would hold the port that the restarted server needs."""

    async def kill_the_leader(trial: Trial) -> None:
        await trial.until(lambda: len(trial.pids("server")) == 2, "leader and fork")
        leader = min(trial.pids("server"), key=lambda pid: os.getpgid(pid) != pid)
        os.kill(leader, signal.SIGKILL)
        await trial.until(lambda: len(trial.pids("server")) == 4, "second start")
        assert not any(is_running(pid) for pid in trial.pids("server")[:2])

    trial.run([tiny("server", FORKING)], kill_the_leader)


def test_delays_between_starts_double_up_to_the_longest(trial: Trial) -> None:
    patience = Patience(attempts=6, first_delay=0.01, longest_delay=0.04)

    with pytest.raises(StartFailed):
        trial.run([tiny("worker", CRASHING, ready_url=NEVER)], nothing, patience=patience)

    delays = [line.rpartition(" in ")[2].removesuffix(' s"}') for line in trial.said("omni") if " in " in line]
    assert delays == ["0.01", "0.02", "0.04", "0.04", "0.04"]


def test_a_process_that_never_gets_ready_ends_the_start_with_its_own_words(trial: Trial) -> None:
    with pytest.raises(StartFailed, match="worker ended 3 times before it was ready"):
        trial.run([tiny("gateway"), tiny("worker", CRASHING, ready_url=NEVER)], nothing)

    assert trial.said("worker") == ["cannot go on: no such file"] * 3
    assert not any(is_running(pid) for pid in trial.pids("gateway"))


def test_ready_is_announced_when_every_address_answers(trial: Trial, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    late = tiny("worker", f"import time; time.sleep(0.2); open({str(answers)!r}, 'w').close(); time.sleep(600)")

    async def look(trial: Trial) -> None:
        assert answers.exists()

    trial.run([tiny("gateway"), tiny(late.name, late.command[-1], ready_url=str(answers))], look)

    assert trial.was_ready


def test_a_long_start_says_what_it_waits_for(trial: Trial, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    late = f"import time; time.sleep(0.3); open({str(answers)!r}, 'w').close(); time.sleep(600)"

    patience = Patience(poll=0.01, reminder=0.05)
    trial.run([tiny("gateway"), tiny("worker", late, ready_url=str(answers))], nothing, patience=patience)

    assert any('"still waiting for worker"' in line for line in trial.said("omni"))


def test_processes_stop_one_after_the_other_in_the_given_order(trial: Trial) -> None:
    names = ["gateway", "scheduler", "dispatcher", "routes", "worker"]

    async def until_all_are_up(trial: Trial) -> None:
        await trial.until(lambda: all("up" in trial.said(name) for name in names), "all up")

    trial.run([tiny(name, SAYS_GOODBYE) for name in names], until_all_are_up)

    assert [name for name, line in trial.heard if line == "goodbye"] == names


def test_a_process_that_does_not_stop_is_killed_after_its_grace(trial: Trial) -> None:
    async def until_up(trial: Trial) -> None:
        await trial.until(lambda: trial.pids("worker"), "up")

    trial.run([tiny("worker", STUBBORN, grace_s=0.1)], until_up)

    assert not is_running(trial.pids("worker")[0])


def test_a_process_waiting_for_its_restart_is_not_started_during_the_stop(trial: Trial) -> None:
    async def kill_it(trial: Trial) -> None:
        await trial.until(lambda: trial.pids("worker"), "up")
        os.kill(trial.pids("worker")[0], signal.SIGKILL)
        await trial.until(lambda: any("starting it again" in line for line in trial.said("omni")), "noticed")

    trial.run([tiny("worker")], kill_it, patience=Patience(first_delay=60, poll=0.01))

    assert len(trial.pids("worker")) == 1


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """`kill -9`, with a forked worker that ignores every polite signal."""
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with supervisor:
        try:
            assert supervisor.stdout
            pids = [int(supervisor.stdout.readline()) for _ in range(4)]
            assert all(is_running(pid) for pid in pids)
        finally:
            supervisor.kill()

        wait_until(lambda: not any(is_running(pid) for pid in pids), description="all processes gone")


SUPERVISOR = """
import sys
from pathlib import Path
from tests.local.test_supervisor import FORKING, STUBBORN, print_pids, trial_in
trial_in(Path(sys.argv[1]), "import os; os.fork();" + STUBBORN)
"""


def trial_in(folder: Path, code: str) -> None:
    trial = Trial(folder)
    trial.run([tiny("server", code), tiny("worker", code)], print_pids)


async def print_pids(trial: Trial) -> None:
    await trial.until(lambda: len(trial.pids("server") + trial.pids("worker")) == 4, "all four up")
    for pid in trial.pids("server") + trial.pids("worker"):
        sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
    await asyncio.sleep(600)


async def nothing(trial: Trial) -> None:
    """The trial is over as soon as everything is ready."""
