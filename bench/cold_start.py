"""`omni bench start`: from the start of each gateway's process to its first right answer, in alternating rounds.

nginx, which has next to nothing to load, tells what the machine and the bench take themselves.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import mock, results
from bench.contender import Contender, Prepared, Site, Unavailable
from bench.contenders import PEERS, nginx, omni
from bench.cores import Cores, pinned
from bench.figures import Figure, table
from bench.gateway_report import OMNI
from bench.machine import Machine, describe
from bench.processes import BenchError, running
from bench.start import until_answer
from bench.surroundings import Surroundings, verdict

CONTENDERS = [nginx.CONTENDER, omni.CONTENDER, *PEERS]
GOAL_S = 0.5
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Start:
    first_answer_s: float
    memory_bytes: int
    """Proportional set size of the process tree, SETTLE_S later."""
    others_share: float


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    trouble: str
    starts: list[Start]

    @property
    def first_answer_s(self) -> Figure:
        return Figure.over(each.first_answer_s for each in self.starts)


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    rows: list[Row]

    def text(self) -> str:
        done = [row for row in self.rows if row.starts and not row.trouble]
        cells = [
            [row.name, row.first_answer_s.text(digits=2), Figure.over(s.memory_bytes for s in row.starts).text(2**20)]
            for row in done
        ]
        ours = next((row for row in done if row.name == OMNI), None)
        others = max((start.others_share for row in done for start in row.starts), default=0.0)
        goals = {f"first 200 in {GOAL_S} s": ours.first_answer_s.median <= GOAL_S} if ours else {}
        ratios = [
            f"{Figure.over(a.first_answer_s / b.first_answer_s for a, b in pairs).median:.3g} × {row.name}'s"
            for row in done
            if ours and row is not ours
            for pairs in [list(zip(ours.starts, row.starts, strict=True))]
        ]
        notes = [f"{row.name} has no figures: {row.trouble}" for row in self.rows if row.trouble]
        parts = [
            self.machine.heading,
            table([["", "first 200, s", "MiB at rest"], *cells]),
            "\n".join(notes),
            f"{OMNI}'s start: {', '.join(ratios)}" if ratios else "",
            verdict(others, goals),
        ]
        return "\n\n".join(part for part in parts if part)


def run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="omni bench start", description="From process start to first answer.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each starts (default: %(default)s)")
    results.add_options(parser)
    options = parser.parse_args(args)
    report = compare([omni.CONTENDER] if options.quick else CONTENDERS, 1 if options.quick else options.rounds)
    print(report.text())
    results.keep("start", report, options)
    return 0 if all(not row.trouble for row in report.rows if row.name == OMNI) else 1


def compare(contenders: list[Contender], rounds: int) -> Report:
    cores, machine = Cores.choose(), describe()
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder, pinned(cores.load):
        scratch = Path(folder)
        upstream = mock.program(scratch)
        with running(upstream, scratch / "upstream.log", cores.load):
            site = Site(f"http://127.0.0.1:{upstream.port}", scratch, results.cache())
            entrants = [_Entrant(contender, site) for contender in contenders]
            for number in range(1, rounds + 1):
                for entrant in entrants:
                    print(f"round {number} of {rounds}: {entrant.name}", file=sys.stderr, flush=True)
                    entrant.start(cores, scratch / f"{entrant.name} in round {number}.log")
    return Report(machine, [Row(each.name, each.trouble, each.starts) for each in entrants])


class _Entrant:
    def __init__(self, contender: Contender, site: Site) -> None:
        self.name = contender.name
        self.trouble = ""
        self.starts: list[Start] = []
        self._prepared: Prepared | None = None
        try:
            self._prepared = contender.prepare(site)
        except (Unavailable, BenchError) as error:
            self.trouble = str(error)

    def start(self, cores: Cores, log: Path) -> None:
        if self._prepared is None or self.trouble:
            return
        began = time.perf_counter()
        try:
            with running(self._prepared.program, log, cores.server) as server:
                until_answer(server, self._prepared.question(server.port))
                first_answer_s = time.perf_counter() - began
                surroundings = Surroundings(server)
                time.sleep(SETTLE_S)
                self.starts.append(Start(first_answer_s, server.memory_bytes(), surroundings.others_share()))
        except (BenchError, OSError) as error:
            self.trouble = str(error)
