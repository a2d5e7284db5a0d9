"""`omni bench jobs`: how fast jobs go through everything but a model, and what one tenant's backlog costs another.

Gateway, route functions, dispatcher and worker run as in the local stack, on SQLite; the worker's engine is an upstream
that answers at once. Measured are

- enqueue: a caller's time for `POST /api/v1/jobs`, one job after the other;
- start: from a job's creation to its claim by the worker, by the store's clock, on the idle stack;
- jobs/s: from the first creation to the last end, with several callers that send all they can;
- fairness: the time in which a tenant's few jobs end, alone and behind another tenant's backlog. Here an answer takes
  a while, as a model's would.
"""

import argparse
import http.client
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench import omni, results, stream_upstream
from bench.jobs_report import Plan, Report, Round, text
from bench.machine import describe
from bench.processes import BenchError, Program, Server, running
from bench.start import until_ready
from bench.surroundings import Surroundings
from shared.settings import Settings

PATH = "/api/v1/jobs"
POLL_S = 0.2
PATIENCE_S = 600.0
QUICK = Plan(rounds=1, single=5, burst=40, callers=2, backlog=40, few=4, answer_s=0.02)
KEY_A, KEY_B = "master-key-a-bench", "master-key-b-bench"


def run(args: list[str]) -> int:
    options = _options(args)
    plan = QUICK if options.quick else Plan(options.rounds, burst=options.jobs, backlog=options.backlog)
    report = measure(plan)
    print(text(report))
    results.keep("jobs", report, options)
    return 0


def measure(plan: Plan) -> Report:
    """Runs all rounds; BenchError when a job does not end as it should."""
    machine = describe()
    rounds, others = [], 0.0
    for number in range(1, plan.rounds + 1):
        print(f"round {number} of {plan.rounds}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder, _started(Path(folder), 0.0) as stack:
            surroundings = Surroundings(*stack.servers)
            stack.single(plan.single)  # to warm up
            enqueued, started = stack.single(plan.single)
            burst = stack.burst(plan.burst, plan.callers)
            others = max(others, surroundings.others_share())
        with (
            tempfile.TemporaryDirectory(prefix="omni-bench-") as folder,
            _started(Path(folder), plan.answer_s) as stack,
        ):
            stack.few(plan.few)
            alone = stack.few(plan.few)
            stack.fill(plan.backlog)
            rounds.append(Round(enqueued, started, burst, alone, stack.few(plan.few)))
    return Report.over(machine, plan, rounds, others)


class Stack:
    """A platform that runs, and two tenants that ask it."""

    def __init__(self, servers: list[Server], base_url: str, model: str) -> None:
        self.servers = servers
        self._base_url = base_url
        self._address = base_url.removeprefix("http://")
        self._wanted = {
            "task": "chat_completions",
            "model": model,
            "input": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1},
        }
        self._body = msgspec.json.encode(self._wanted)

    def single(self, number: int) -> tuple[list[float], list[float]]:
        """Seconds to enqueue, and from the creation to the start, of jobs that run one after the other."""
        enqueued, started = [], []
        with self._client(KEY_A) as client:
            for _ in range(number):
                began = time.perf_counter()
                job = self._submit(client)
                enqueued.append(time.perf_counter() - began)
                job = self._ended(client, job["id"])
                started.append(job["started_at"] - job["created_at"])
        return enqueued, started

    def burst(self, number: int, callers: int) -> float:
        """Jobs a second, end to end, of many that are sent at once."""
        with self._client(KEY_B) as client:
            before = {job["id"] for job in self._all(client)}
            self._send(KEY_B, number, callers)
            self._idle(client)
            jobs = [job for job in self._all(client) if job["id"] not in before]
        if len(jobs) != number or {job["state"] for job in jobs} != {"succeeded"}:
            raise BenchError(f"of {number} jobs {len(jobs)} are there: { ({job['state'] for job in jobs}) }")
        first, last = min(job["created_at"] for job in jobs), max(job["finished_at"] for job in jobs)
        return number / float(last - first)

    def few(self, number: int) -> float:
        """Seconds until the last of tenant B's few jobs has ended."""
        began = time.perf_counter()
        with self._client(KEY_B) as client:
            for job_id in self._send(KEY_B, number, number):
                self._ended(client, job_id)
        return time.perf_counter() - began

    def fill(self, number: int) -> None:
        """Tenant A's backlog."""
        self._send(KEY_A, number, 4)

    def _send(self, key: str, number: int, callers: int) -> list[str]:
        def send(share: int) -> list[str]:
            with closing(http.client.HTTPConnection(self._address, timeout=PATIENCE_S)) as connection:
                return [self._post(connection, key) for _ in range(share)]

        shares = [number // callers + (each < number % callers) for each in range(callers)]
        with ThreadPoolExecutor(callers) as threads:
            return [job_id for sent in threads.map(send, shares) for job_id in sent]

    def _post(self, connection: http.client.HTTPConnection, key: str) -> str:
        """As `_submit`, for half the processor time: the load must not be what limits."""
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", PATH, self._body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.ACCEPTED:
            raise BenchError(f"{PATH} answered {answer.status}: {content[:300]!r}")
        return str(msgspec.json.decode(content)["id"])

    def _submit(self, client: httpx.Client) -> dict[str, Any]:
        return _answer(client.post(PATH, json=self._wanted))

    def _ended(self, client: httpx.Client, job_id: str) -> dict[str, Any]:
        """The job once it has succeeded."""
        give_up_at = time.perf_counter() + PATIENCE_S
        while (job := _answer(client.get(f"{PATH}/{job_id}")))["finished_at"] is None:
            if job["error"] or time.perf_counter() > give_up_at:
                raise BenchError(f"job {job_id} is {job['state']} ({job['substate']}): {job['error']}")
            time.sleep(POLL_S / 40)
        if job["state"] != "succeeded":
            raise BenchError(f"job {job_id} has {job['state']}: {job['error']}")
        return job

    def _idle(self, client: httpx.Client) -> None:
        give_up_at = time.perf_counter() + PATIENCE_S
        while any(
            _answer(client.get(PATH, params={"state": state, "limit": 1}))["data"] for state in ("queued", "running")
        ):
            if time.perf_counter() > give_up_at:
                raise BenchError("the jobs do not come to an end")
            time.sleep(POLL_S)

    def _all(self, client: httpx.Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = _answer(client.get(PATH, params={"limit": 100, "after": after}))
            found += page["data"]
            if not (after := page["next_cursor"] or ""):
                return found

    def _client(self, key: str) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self._base_url, headers=headers, timeout=PATIENCE_S, trust_env=False)


@contextmanager
def _started(scratch: Path, answer_s: float) -> Iterator[Stack]:
    upstream = stream_upstream.program(answer_s)
    environment = omni.environment(scratch / "state") | {
        "API_KEYS": f"{KEY_A},{KEY_B}",
        "OMNI_WORKER_ENGINE": "llama_server",
        "OMNI_WORKER_ENGINE_URL": f"http://127.0.0.1:{upstream.port}",
    }
    worker = omni.worker(environment)
    environment |= {"OMNI_WORKER_URL": f"http://127.0.0.1:{worker.port}"}
    worker = replace(worker, environment={**worker.environment, **environment})  # it sends the wake-ups of retries
    routes = omni.function("routes", {**environment, "RUN_AS_INTERNAL": "1"})
    gateway = omni.function("gateway", {**environment, "OMNI_ROUTES_URL": f"http://127.0.0.1:{routes.port}"}, "--asgi")
    dispatcher = Program((sys.executable, "-m", "local.dispatcher"), 0, environment)
    programs = {"upstream": upstream, "worker": worker, "routes": routes, "gateway": gateway, "dispatcher": dispatcher}
    with ExitStack() as held:
        servers = [held.enter_context(running(each, scratch / f"{name}.log")) for name, each in programs.items()]
        for server in servers[1:4]:
            until_ready(server, "/ready")
        yield Stack(servers, f"http://127.0.0.1:{gateway.port}", Settings.load(environment).worker_model)


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise BenchError(f"{response.url} answered {response.status_code}: {response.text[:300]}")
    found: dict[str, Any] = response.json()
    return found


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omni bench jobs", description="Jobs that no model has to be run for.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to run (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2000, help="sent at once (default: %(default)s)")
    parser.add_argument("--backlog", type=int, default=10_000, help="of the other tenant (default: %(default)s)")
    results.add_options(parser)
    return parser.parse_args(args)
