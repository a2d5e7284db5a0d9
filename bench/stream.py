"""`omni bench stream`: many streams at once through one process of each gateway, in alternating rounds.

The upstream is a small server that says a word every INTERVAL_S; it and the reader of all streams share a core, the
gateway has the other. Measured are

- whether every stream brings every word and its end;
- memory a stream: what the process tree grew by while all were open, over their number;
- first word: added to what the upstream alone takes, one stream at a time;
- the slowest stream of all: over the time it would have taken alone.
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
from bench.contenders import litellm, nginx, omni, portkey
from bench.cores import Cores, pinned
from bench.load import Question
from bench.machine import describe
from bench.mock import PATH
from bench.processes import BenchError, Server, running
from bench.start import until
from bench.stream_load import Told, read_all
from bench.stream_report import Plan, Report, Round, text
from bench.surroundings import Surroundings

CONTENDERS = [nginx.CONTENDER, omni.CONTENDER, portkey.CONTENDER, litellm.CONTENDER]
INTERVAL_S = 0.25
QUICK = Plan(rounds=1, streams=20, words=4, ramp_s=0.2, alone=3, interval_s=0.05)


@dataclass(frozen=True, slots=True)
class Bench:
    plan: Plan
    cores: Cores
    scratch: Path
    upstream: Server

    def round(self, contender: Prepared, log: Path) -> Round:
        plan = self.plan
        with running(contender.program, log, self.cores.server) as server:
            question = contender.question
            _until_it_streams(server, _streamed(question, 1))
            direct = self._first_word_s(_streamed(Question(self.upstream.program.port, PATH, JSON, b"", b""), 1))
            alone = self._first_word_s(_streamed(question, 1))
            rest, peak = server.memory_bytes(), []
            surroundings, cpu_before = Surroundings(server, self.upstream), server.cpu_s()
            told = read_all(
                _streamed(question, plan.words),
                plan.streams,
                plan.words,
                plan.ramp_s,
                lambda: peak.append(server.memory_bytes()),
            )
            return Round(
                finished=sum(not each.fault for each in told),
                faults=dict(Counter(each.fault for each in told if each.fault)),
                bytes_a_stream=(max(peak) - rest) / plan.streams,
                first_added_s=alone - direct,
                first_p99_s=_percentile([each.first_s for each in told], 99),
                slowest=max(each.total_s for each in told) / (plan.words * plan.interval_s),
                cpu_us_a_word=(server.cpu_s() - cpu_before) / (plan.streams * plan.words) * 1e6,
                others_share=surroundings.others_share(),
            )

    def _first_word_s(self, question: Question) -> float:
        told: list[Told] = []
        for _ in range(self.plan.alone):
            told += read_all(question, 1, 1, 0, lambda: None)
        if faults := [each.fault for each in told if each.fault]:
            raise BenchError(f"a single stream failed: {faults[0]}")
        return median(each.first_s for each in told)


JSON = (("content-type", "application/json"),)


def run(args: list[str]) -> int:
    options = _options(args)
    plan = QUICK if options.quick else Plan(options.rounds, options.streams, options.words, 2.0, 30, INTERVAL_S)
    report = compare([omni.CONTENDER] if options.quick else CONTENDERS, plan)
    print(text(report))
    results.keep("stream", report, options)
    return 0 if report.is_sound else 1


def compare(contenders: list[Contender], plan: Plan) -> Report:
    cores, machine = Cores.choose(), describe()
    rounds: dict[str, list[Round]] = {}
    troubles: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder, pinned(cores.load):
        scratch = Path(folder)
        program = stream_upstream.program(plan.interval_s)
        with running(program, scratch / "upstream.log", cores.load) as upstream:
            _until_it_streams(upstream, _streamed(Question(program.port, PATH, JSON, b"", b""), 1))
            bench = Bench(plan, cores, scratch, upstream)
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


def _prepare(contender: Contender, site: Site, troubles: dict[str, str]) -> Prepared | None:
    try:
        return contender.prepare(site)
    except (Unavailable, BenchError) as error:
        troubles[contender.name] = str(error)
        return None


def _streamed(question: Question, words: int) -> Question:
    return Question(question.port, question.path, question.headers, stream_upstream.request(words), b"")


def _until_it_streams(server: Server, question: Question) -> None:
    """Waits for a first whole stream; BenchError when none comes in time."""

    def fault() -> str:
        try:
            (told,) = read_all(question, 1, 1, 0, lambda: None)
        except OSError as error:
            return str(error)
        return told.fault

    until(server, fault)


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omni bench stream", description="Many streams at once, beside the peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=1000, help="at the same time (default: %(default)s)")
    parser.add_argument("--words", type=int, default=40, help="in each stream (default: %(default)s)")
    results.add_options(parser)
    return parser.parse_args(args)
