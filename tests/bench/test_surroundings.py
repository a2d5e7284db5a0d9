"""A busy machine is seen, and then no goal is judged."""

import sys
from pathlib import Path

from bench.processes import Program, running
from bench.surroundings import MOST, Surroundings, verdict
from tests.waiting import wait_until

SPIN = Program((sys.executable, "-c", "while True: pass"), 0)


def test_a_server_of_ours_is_not_counted_among_the_others(tmp_path: Path) -> None:
    with running(SPIN, tmp_path / "spin.log") as ours:
        watching_all, watching_others = Surroundings(), Surroundings(ours)
        wait_until(lambda: ours.cpu_s() > 1, description="a second of work", within_s=60)

        assert watching_all.others_share() > watching_others.others_share()


def test_no_goal_is_judged_on_a_busy_machine() -> None:
    assert verdict(MOST, {"fast": True, "small": False}) == "goals:\nreached  fast\nMISSED   small"
    assert "others used 40% of the machine" in verdict(0.4, {"fast": True})
