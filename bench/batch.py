"""`omni bench batch`: how fast a batch goes through everything but a model.

The gateway, the route functions and the workers run as in production, on one machine's store and blobs; the workers'
model answers at once (bench.instant_worker). Measured is what a caller sees: from the request that creates the batch
to the first answer that says it is completed, validation and the writing of the output file included. The output is
then checked, each custom_id once.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench import omni, results, surroundings
from bench.figures import Figure, table
from bench.machine import Machine, describe
from bench.processes import BenchError, Program, Server, running
from bench.start import until_ready
from bench.surroundings import Surroundings, verdict
from shared.settings import Settings

GOAL_LINES_PER_S = 1000
POLL_S = 0.02
PATIENCE_S = 300.0
FINAL = frozenset({"completed", "failed", "expired", "cancelled"})
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    lines: int
    workers: int


@dataclass(frozen=True, slots=True)
class Round:
    lines_per_s: float
    validated_s: float
    """From the request to the batch being in progress."""
    total_s: float


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    plan: Plan
    rounds: list[Round]
    lines_per_s: Figure
    others_share: float
    goals: dict[str, bool]
    """Empty when others used too much for a judgement."""


def run(args: list[str]) -> int:
    options = _options(args)
    plan = Plan(1, 300, 1) if options.quick else Plan(options.rounds, options.lines, options.workers)
    report = measure(plan)
    print(text(report))
    results.keep("batch", report, options)
    return 0


def measure(plan: Plan) -> Report:
    """Runs all rounds; BenchError when a batch does not come out right."""
    machine = describe()
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder:
        environment = omni.environment(Path(folder) / "state")
        model = Settings.load(environment).worker_model
        with _started(environment, Path(folder), plan.workers) as (client, servers):
            _round(client, model, 100)  # to warm up
            surroundings_ = Surroundings(*servers)
            rounds = []
            for number in range(1, plan.rounds + 1):
                print(f"round {number} of {plan.rounds}", file=sys.stderr, flush=True)
                rounds.append(_round(client, model, plan.lines))
            others_share = surroundings_.others_share()
    rate = Figure.over(each.lines_per_s for each in rounds)
    goals = {f"{GOAL_LINES_PER_S:,} lines/s": rate.median >= GOAL_LINES_PER_S}
    return Report(machine, plan, rounds, rate, others_share, goals if others_share <= surroundings.MOST else {})


def text(report: Report) -> str:
    """The report for a terminal."""
    plan = report.plan
    heading = (
        f"{report.machine.heading}; {plan.lines:,} lines, {plan.workers} workers\n"
        f"median of {plan.rounds} rounds ± half of their range"
    )
    validated = Figure.over(each.validated_s for each in report.rounds)
    total = Figure.over(each.total_s for each in report.rounds)
    rows = [
        ["", "lines/s", "validated, s", "completed, s"],
        ["batch", report.lines_per_s.text(), validated.text(digits=2), total.text(digits=2)],
    ]
    return "\n\n".join(part for part in [heading, table(rows), verdict(report.others_share, report.goals)] if part)


def _round(client: httpx.Client, model: str, count: int) -> Round:
    file_id = _uploaded(client, model, count)
    began = time.perf_counter()
    batch = _answer(
        client.post("/v1/batches", json={"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"})
    )
    validated_s = 0.0
    while batch["status"] not in FINAL:
        if time.perf_counter() - began > PATIENCE_S:
            raise BenchError(f"the batch is still {batch['status']} after {PATIENCE_S:g} s")
        time.sleep(POLL_S)
        batch = _answer(client.get(f"/v1/batches/{batch['id']}"))
        if batch["status"] != "validating":
            validated_s = validated_s or time.perf_counter() - began
    total_s = time.perf_counter() - began
    _check(client, batch, count)
    return Round(count / total_s, validated_s, total_s)


def _uploaded(client: httpx.Client, model: str, count: int) -> str:
    lines = (
        {
            "custom_id": f"r{number}",
            "method": "POST",
            "url": CHAT,
            "body": {"model": model, "messages": [{"role": "user", "content": f"Say {number}."}]},
        }
        for number in range(count)
    )
    content = b"\n".join(map(msgspec.json.encode, lines))
    answer = client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("bench.jsonl", content)})
    return str(_answer(answer)["id"])


def _check(client: httpx.Client, batch: dict[str, Any], count: int) -> None:
    """BenchError unless every line was answered once."""
    if batch["status"] != "completed" or batch["request_counts"]["completed"] != count:
        raise BenchError(f"the batch is {batch['status']}: {batch['request_counts']}, {batch['errors']}")
    content = client.get(f"/v1/files/{batch['output_file_id']}/content").content
    ids = Counter(msgspec.json.decode(line)["custom_id"] for line in content.splitlines())
    if ids != Counter(f"r{number}" for number in range(count)):
        raise BenchError("the output does not hold each custom_id once")


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise BenchError(f"{response.url} answered {response.status_code}: {response.text[:300]}")
    found: dict[str, Any] = response.json()
    return found


@contextmanager
def _started(environment: dict[str, str], scratch: Path, workers: int) -> Iterator[tuple[httpx.Client, list[Server]]]:
    """Gateway, route functions and workers, and a client of the gateway."""
    routes = omni.function("routes", {**environment, "RUN_AS_INTERNAL": "1"})
    gateway = omni.function("gateway", {**environment, "OMNI_ROUTES_URL": f"http://127.0.0.1:{routes.port}"}, "--asgi")
    worker = Program((sys.executable, "-m", "bench.instant_worker", "--stay"), 0, environment)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(routes, scratch / "routes.log")),
            stack.enter_context(running(gateway, scratch / "gateway.log")),
            *(stack.enter_context(running(worker, scratch / f"worker-{number}.log")) for number in range(workers)),
        ]
        for server in servers[:2]:
            until_ready(server, "/ready")
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{gateway.port}",
            headers={"authorization": f"Bearer {environment['API_KEYS']}"},
            timeout=PATIENCE_S,
            trust_env=False,
        )
        yield stack.enter_context(client), servers


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omni bench batch", description="Batches of lines that no model answers.")
    parser.add_argument("--rounds", type=int, default=3, help="batches to run (default: %(default)s)")
    parser.add_argument("--lines", type=int, default=10_000, help="of each batch (default: %(default)s)")
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--workers", type=int, default=cores, help="worker processes (default: one a core, %(default)s)"
    )
    results.add_options(parser)
    return parser.parse_args(args)
