"""`omni bench stream`: many streams at once through one process of each gateway, in alternating rounds.

The upstream is a small server that sends an event each interval; it and the reader of all streams share a core, the
gateway has the other. A few streams with many events a second are measured first, then many with few. Measured are

- processor time an event, of all of the gateway's processes and threads;
- whether every stream brings every event and its end;
- lateness: how much later than its upstream was to send it an event reached the caller;
- first event: added to what the upstream alone takes, one stream at a time;
- memory a stream: what the process tree grew by while all were open, over their number.
"""

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import results, stream_upstream
from bench.contender import Contender, Prepared, Site, Unavailable
from bench.contenders import PEERS, nginx, omni
from bench.cores import Cores, pinned
from bench.load import Question
from bench.machine import describe
from bench.processes import BenchError, Program, Server, running
from bench.start import until
from bench.stream_load import StreamOutcome, read_all
from bench.stream_report import Plan, Report, Round, text
from bench.surroundings import Surroundings

CONTENDERS = [nginx.CONTENDER, omni.CONTENDER, *PEERS]
CROWDS = ((200, 0.02, 200), (2000, 0.25, 40))
"""Streams at the same time, seconds between the events of one, and events in each."""
QUICK = Plan(rounds=1, streams=20, events=4, ramp_s=0.2, alone=3, interval_s=0.05)


@dataclass(frozen=True, slots=True)
class Bench:
    plan: Plan
    cores: Cores
    scratch: Path
    upstream: Server
    directly: Prepared

    def round(self, contender: Prepared, log: Path) -> Round:
        plan = self.plan
        with running(contender.program, log, self.cores.server) as server:
            single = contender.streamed(server.port, 1)
            _until_it_streams(server, single)
            direct = self._first_event_s(self.directly.streamed(self.upstream.port, 1))
            alone = self._first_event_s(single)
            rest, peak = server.memory_bytes(), []
            surroundings, cpu_before = Surroundings(server, self.upstream), server.cpu_s()
            ended = read_all(
                contender.streamed(server.port, plan.events),
                plan.streams,
                plan.events,
                plan.ramp_s,
                lambda: peak.append(server.memory_bytes()),
            )
            late = [lateness for each in ended for lateness in each.lateness_s(plan.interval_s)]
            return Round(
                finished=sum(not each.fault for each in ended),
                faults=dict(Counter(each.fault for each in ended if each.fault)),
                bytes_a_stream=(max(peak) - rest) / plan.streams,
                first_added_s=alone - direct,
                lateness_p50_s=_percentile(late, 50),
                lateness_p99_s=_percentile(late, 99),
                cpu_s_an_event=(server.cpu_s() - cpu_before) / (plan.streams * plan.events),
                others_share=surroundings.others_share(),
            )

    def _first_event_s(self, question: Question) -> float:
        ended: list[StreamOutcome] = []
        for _ in range(self.plan.alone):
            ended += read_all(question, 1, 1, 0, lambda: None)
        if faults := [each.fault for each in ended if each.fault]:
            raise BenchError(f"a single stream failed: {faults[0]}")
        return median(each.first_s for each in ended)


def run(args: list[str]) -> int:
    options = _options(args)
    plans = [QUICK] if options.quick else [Plan(options.rounds, n, events, 2.0, 30, s) for n, s, events in CROWDS]
    reports = [compare([omni.CONTENDER] if options.quick else CONTENDERS, plan) for plan in plans]
    print("\n\n".join(text(report) for report in reports))
    results.keep("stream", reports, options)
    return 0 if all(report.is_sound for report in reports) else 1


def compare(contenders: list[Contender], plan: Plan) -> Report:
    cores, machine = Cores.choose(), describe()
    rounds: dict[str, list[Round]] = {}
    troubles: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder, pinned(cores.load):
        scratch = Path(folder)
        program = stream_upstream.program(plan.interval_s)
        with running(program, scratch / "upstream.log", cores.load) as upstream:
            bench = Bench(plan, cores, scratch, upstream, _directly(program))
            _until_it_streams(upstream, bench.directly.streamed(program.port, 1))
            site = Site(f"http://127.0.0.1:{program.port}", scratch, results.cache())
            prepared = {each.name: found for each in contenders if (found := _prepare(each, site, troubles))}
            for number in range(1, plan.rounds + 1):
                for name in [each for each in prepared if each not in troubles]:
                    print(f"round {number} of {plan.rounds}: {name}", file=sys.stderr, flush=True)
                    try:
                        measured = bench.round(prepared[name], scratch / f"{name} in round {number}.log")
                    except (BenchError, OSError) as error:
                        troubles[name] = str(error)
                        continue
                    rounds.setdefault(name, []).append(measured)
    return Report.over(machine, plan, rounds, troubles)


def _directly(upstream: Program) -> Prepared:
    """The upstream itself, without a gateway."""
    return Prepared("", upstream)


def _prepare(each: Contender, site: Site, troubles: dict[str, str]) -> Prepared | None:
    try:
        return each.prepare(site)
    except (Unavailable, BenchError) as error:
        troubles[each.name] = str(error)
        return None


def _until_it_streams(server: Server, question: Question) -> None:
    """Waits for a first whole stream; BenchError when none comes in time."""

    def fault() -> str:
        try:
            (ended,) = read_all(question, 1, 1, 0, lambda: None)
        except OSError as error:
            return str(error)
        return ended.fault

    until(server, fault)


def _percentile(values: list[float], percent: float) -> float:
    """BenchError when not one event came."""
    if not values:
        raise BenchError("not one event came")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omni bench stream", description="Many streams at once, beside the peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (default: %(default)s)")
    results.add_options(parser)
    return parser.parse_args(args)
