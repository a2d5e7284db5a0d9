"""`omni bench limits`: gateway processes that share one Redis, asked for five times a limit.

The load is open: requests leave on their schedule whatever becomes of the earlier ones, the same number to each
process. Every answer is noted with the time it came; then every window of 60 s that lies in the run is looked at, not
some of them. Measured are

- worst window: the most that was admitted in 60 s, which may not be more than the limit;
- used: what was admitted in 60 s on average, of the limit;
- calls of Redis for 1,000 requests, as Redis counts them.
"""

import argparse
import http.client
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from bench import mock, omni, redis, results
from bench.contender import Prepared, Site
from bench.contenders import omni as contender
from bench.limits_report import Answer, Case, Plan, Report, text
from bench.machine import describe
from bench.processes import BenchError, running
from bench.start import until_ready
from bench.surroundings import Surroundings

PATIENCE_S = 10.0
MOST_A_CALLER = 20.0
"""Requests a second."""
QUICK = Plan(processes=(2,), limit=60, demand=5, seconds=4.0)


class Caller(threading.Thread):
    """Sends requests to one process, one every `every_s`."""

    def __init__(self, asked: Prepared, every_s: float, begin: float, end: float) -> None:
        super().__init__(daemon=True)
        self._asked, self._every_s, self._begin, self._end = asked, every_s, begin, end
        self.answers: list[Answer] = []
        self.failure = ""

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._asked.program.port, timeout=PATIENCE_S)
        due = self._begin
        try:
            while due < self._end:
                time.sleep(max(0.0, due - time.perf_counter()))
                self._send(connection)
                answer = connection.getresponse()
                answer.read()
                self.answers.append(Answer(time.perf_counter(), answer.status))
                due += self._every_s
        except (OSError, http.client.HTTPException) as error:
            self.failure = str(error) or type(error).__name__
        finally:
            connection.close()

    def _send(self, connection: http.client.HTTPConnection) -> None:
        """Once more, where the server has closed what rested for its 2 s while the machine was busy with others."""
        question = self._asked.question(self._asked.program.port)
        for is_last in (False, True):
            try:
                connection.request("POST", question.path, question.body, dict(question.headers))
            except (BrokenPipeError, ConnectionResetError):
                connection.close()
                if is_last:
                    raise
            else:
                return


def run(args: list[str]) -> int:
    options = _options(args)
    plan = QUICK if options.quick else Plan(tuple(options.processes), options.limit, 5, options.seconds)
    report = measure(plan)
    print(text(report))
    results.keep("limits", report, options)
    return 0 if report.holds else 1


def measure(plan: Plan) -> Report:
    """BenchError when there is no Redis, or a process does not answer."""
    machine = describe()
    cases = []
    for processes in plan.processes:
        print(f"{processes} processes for {plan.seconds:g} s", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder:
            cases.append(_case(plan, processes, Path(folder)))
    return Report(machine, plan, cases)


def _case(plan: Plan, processes: int, scratch: Path) -> Case:
    shared, upstream = redis.program(), mock.program(scratch)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(shared, scratch / "redis.log")),
            stack.enter_context(running(upstream, scratch / "upstream.log")),
        ]
        site = Site(f"http://127.0.0.1:{upstream.port}", scratch, results.cache())
        gateways = [contender.prepare(site, {"requests_per_minute": plan.limit}, {"OMNI_REDIS_URL": redis.url(shared)})]
        gateways += [_another(gateways[0]) for _ in range(processes - 1)]
        for number, gateway in enumerate(gateways):
            servers.append(stack.enter_context(running(gateway.program, scratch / f"gateway {number}.log")))
            until_ready(servers[-1], "/api/health")
        surroundings, calls_before = Surroundings(*servers), redis.calls(shared)
        answers = _asked(plan, gateways)
        calls = redis.calls(shared) - calls_before
        return Case.over(plan, processes, answers, calls, surroundings.others_share())


def _another(first: Prepared) -> Prepared:
    """One more process of the same platform."""
    program = omni.function("gateway", dict(first.program.environment), "--asgi")
    return Prepared(first.version, program, first.headers)


def _asked(plan: Plan, gateways: list[Prepared]) -> list[Answer]:
    """All answers. Several callers a process, so that a slow answer does not hold up the schedule."""
    callers_each = max(1, round(plan.rate / len(gateways) / MOST_A_CALLER))
    count = callers_each * len(gateways)
    begin = time.perf_counter() + 0.2
    callers = [
        Caller(gateways[number % len(gateways)], count / plan.rate, begin + number / plan.rate, begin + plan.seconds)
        for number in range(count)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if failures := [caller.failure for caller in callers if caller.failure]:
        raise BenchError(f"{len(failures)} of {count} callers were cut off: {failures[0]}")
    return [Answer(answer.at_s - begin, answer.status) for caller in callers for answer in caller.answers]


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omni bench limits", description="A limit shared by several processes.")
    parser.add_argument("--processes", type=int, nargs="+", default=[4, 8], help="one case each (default: 4 8)")
    parser.add_argument("--limit", type=int, default=1000, help="requests a minute (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=150.0, help="of each case (default: %(default)s)")
    results.add_options(parser)
    return parser.parse_args(args)
