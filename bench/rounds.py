"""One round of one contender: started, asked, weighed and stopped, alone on the machine."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import load, mock
from bench.contender import Prepared, question
from bench.cores import Cores
from bench.load import Load, Question
from bench.processes import BenchError, Server, running
from bench.start import until_answer
from bench.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    connections: int
    load_s: float
    """How long the load at `connections` is measured, after a warm-up of `warm_s`."""
    warm_s: float
    single_s: float
    """How long one connection asks, first the upstream directly and then the contender."""
    settle_s: float
    """Between the first answer and the first look at memory."""


@dataclass(frozen=True, slots=True)
class Latency:
    p50_s: float
    p99_s: float
    samples: int

    @classmethod
    def of(cls, measured: Load) -> "Latency":
        """BenchError when there was no right answer at all."""
        if not measured.latencies_s:
            raise BenchError(f"not one right answer: {measured.failures}")
        return cls(measured.percentile_s(50), measured.percentile_s(99), len(measured.latencies_s))


@dataclass(frozen=True, slots=True)
class Round:
    start_s: float
    """From the process's start to its first 200."""
    requests_per_s: float
    """Right answers only."""
    core_share: float
    """How much of its core the server used meanwhile: well below 1, something else was the limit."""
    loaded: Latency
    single: Latency
    direct: Latency
    """One connection to the upstream itself, just before `single`."""
    memory_rest_bytes: int
    memory_loaded_bytes: int
    others_share: float
    """Of the whole machine, what other programs used while this was measured."""
    failures: dict[str, int]

    @property
    def cpu_s_a_request(self) -> float:
        """Of all its processes and threads. Holds on a busy machine, and when the load was the limit."""
        return self.core_share / self.requests_per_s


def measure(prepared: Prepared, upstream: Server, plan: Plan, cores: Cores, log: Path) -> Round:
    """Runs the round; BenchError when the contender does not start, answers something else or from a cache."""
    started = time.perf_counter()
    with running(prepared.program, log, cores.server) as server:
        asked = prepared.question(server.port)
        until_answer(server, asked)
        start_s = time.perf_counter() - started
        time.sleep(plan.settle_s)
        memory_rest = server.memory_bytes()
        load.apply(asked, plan.connections, plan.warm_s)
        surroundings, upstream_port = Surroundings(server, upstream), upstream.program.port
        loaded, core_share = _under_load(server, asked, upstream_port, plan)
        direct = load.apply(question(upstream_port), 1, plan.single_s)
        single = _passed_on(server, asked, upstream_port, 1, plan.single_s)
        return Round(
            start_s=start_s,
            requests_per_s=loaded.requests_per_s,
            core_share=core_share,
            loaded=Latency.of(loaded),
            single=Latency.of(single),
            direct=Latency.of(direct),
            memory_rest_bytes=memory_rest,
            memory_loaded_bytes=server.memory_bytes(),
            others_share=surroundings.others_share(),
            failures=dict(Counter(loaded.failures) + Counter(single.failures)),
        )


def _under_load(server: Server, asked: Question, upstream_port: int, plan: Plan) -> tuple[Load, float]:
    cpu_before, before = server.cpu_s(), time.perf_counter()
    loaded = _passed_on(server, asked, upstream_port, plan.connections, plan.load_s)
    return loaded, (server.cpu_s() - cpu_before) / (time.perf_counter() - before)


def _passed_on(server: Server, asked: Question, upstream_port: int, connections: int, seconds: float) -> Load:
    """A load of which every answer came from the upstream; BenchError when some were given without asking it."""
    before = mock.asked(upstream_port)
    found = load.apply(asked, connections, seconds)
    passed_on = mock.asked(upstream_port) - before - 1  # the second look was counted as well
    answered = len(found.latencies_s)
    if passed_on < answered:
        raise BenchError(f"{server.name} asked the upstream only {passed_on} times for {answered} answers")
    return found
