"""`omni bench gateway`: Omni's gateway beside its peers, in front of the same mock upstream.

Rounds alternate (A B C D, A B C D, ...). In a round one contender runs alone: it is started, asked on 16 connections
as fast as it answers, asked on one connection, and stopped. The server has one core for all its processes and
threads; the load generator and the mock upstream have another. Measured are

- processor time a request, of all of the server's processes and threads: it holds when the machine is busy or the load
  generator is the limit;
- requests a second on that core: right answers only, each one checked, and only of a contender that asked the upstream
  for every one of them;
- latency: p50 on one connection; p50 and p99 on all of them;
- start: from the process's start to its first 200;
- memory: proportional set size of the whole process tree, a second after the first answer and after the load.

Figures are medians over the rounds. A ratio is taken within a round: the peer's processor time a request over Omni's,
so that whatever else held one of them back does not make the other look better than it is.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from bench import mock, results
from bench.contender import Contender, Prepared, Site, Unavailable, question
from bench.contenders import PEERS, nginx, omni
from bench.cores import Cores, pinned
from bench.gateway_report import OMNI, Report, Row
from bench.gateway_text import text
from bench.machine import describe
from bench.processes import BenchError, Server, running
from bench.rounds import Plan, Round, measure
from bench.start import until_answer

CONTENDERS = [nginx.CONTENDER, omni.CONTENDER, *PEERS]
CONNECTIONS = 16
QUICK = Plan(rounds=1, connections=CONNECTIONS, load_s=0.5, warm_s=0.2, single_s=0.3, settle_s=0.1)


class Entrant:
    """A contender in this run, and what came of it."""

    def __init__(self, contender: Contender, site: Site) -> None:
        self._contender = contender
        self._prepared: Prepared | None = None
        self._trouble = ""
        self._rounds: list[Round] = []
        try:
            self._prepared = contender.prepare(site)
        except (Unavailable, BenchError) as error:
            self._trouble = str(error)

    def play(self, upstream: Server, plan: Plan, cores: Cores, scratch: Path) -> None:
        """One round, unless an earlier one failed."""
        if self._prepared is None or self._trouble:
            return
        number = len(self._rounds) + 1
        log = scratch / f"{self._contender.name} in round {number}.log"
        print(f"round {number} of {plan.rounds}: {self._contender.name}", file=sys.stderr, flush=True)
        try:
            self._rounds.append(measure(self._prepared, upstream, plan, cores, log))
        except (BenchError, OSError) as error:  # OSError: it took no connection any more
            self._trouble = str(error)

    def row(self) -> Row:
        version = self._prepared.version if self._prepared else ""
        return Row.over(self._contender.name, version, self._contender.does, self._trouble, self._rounds)


def run(args: list[str]) -> int:
    options = _options(args)
    report = compare([omni.CONTENDER], QUICK) if options.quick else compare(_contenders(options), _plan(options))
    print(text(report))
    results.keep("gateway", report, options)
    return 0 if all(row.is_sound for row in report.rows if row.name == OMNI) else 1


def compare(contenders: list[Contender], plan: Plan) -> Report:
    """Runs all rounds. BenchError when the upstream itself does not work."""
    cores = Cores.choose()
    machine = describe()
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder, pinned(cores.load):
        scratch = Path(folder)
        program = mock.program(scratch)
        with running(program, scratch / "upstream.log", cores.load) as server:
            until_answer(server, question(program.port))
            site = Site(f"http://127.0.0.1:{program.port}", scratch, results.cache())
            entrants = [Entrant(contender, site) for contender in contenders]
            for _ in range(plan.rounds):
                for entrant in entrants:
                    entrant.play(server, plan, cores, scratch)
    return Report.over(machine, cores, mock.name(), plan, [entrant.row() for entrant in entrants])


def _contenders(options: argparse.Namespace) -> list[Contender]:
    """Everyone, or only Omni as it is here and as it is in another checkout."""
    return [omni.CONTENDER, omni.of(options.beside.resolve())] if options.beside else CONTENDERS


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        rounds=options.rounds,
        connections=CONNECTIONS,
        load_s=options.seconds,
        warm_s=2.0,
        single_s=options.seconds,
        settle_s=1.0,
    )


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omni bench gateway", description="Omni's gateway beside its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load in each measurement (default: %(default)s)")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="only Omni, here and in another checkout")
    results.add_options(parser)
    return parser.parse_args(args)
