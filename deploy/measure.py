"""Counts what a running local stack does, for the bill: `python -m deploy.measure` writes deploy/operations.toml.

Documents and deliveries are counted by the platform's own metrics, over whole requests and jobs and over idle minutes.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

OPERATIONS = Path(__file__).with_name("operations.toml")
READS, WRITES, REQUESTS = "omni_store_reads_total", "omni_store_writes_total", "omni_requests_total"
SETTLED_S = 12.0
"""After the last request: what is written in batches has been written."""
JOB_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Count:
    reads: float
    writes: float
    deliveries: float


@dataclass(frozen=True, slots=True)
class Stack:
    base_url: str
    """The gateway's."""
    api_key: str
    model: str
    metrics: tuple[str, ...]
    """Where each process tells its metrics."""
    sleep: Callable[[float], None] = time.sleep

    def count(self) -> Count:
        pages = [httpx.get(url, headers=self._headers()).raise_for_status().text for url in self.metrics]
        lines = [line for page in pages for line in page.splitlines()]
        return Count(
            _sum(lines, READS), _sum(lines, WRITES), _sum(lines, REQUESTS + '{method="POST",route="tasks_run"')
        )

    def requests(self, number: int) -> None:
        for _ in range(number):
            self._post("/v1/chat/completions", self._chat())

    def jobs(self, number: int) -> None:
        for _ in range(number):
            job = self._post("/api/v1/jobs", {"task": "chat_completions", "model": self.model, "input": self._chat()})
            deadline = time.monotonic() + JOB_WITHIN_S
            while self._get(f"/api/v1/jobs/{job['id']}")["state"] not in ("succeeded", "failed"):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{job['id']} is not done after {JOB_WITHIN_S:g} s")
                self.sleep(0.5)

    def _chat(self) -> dict[str, object]:
        messages = [{"role": "user", "content": f"Say {time.monotonic_ns()}."}]
        return {"model": self.model, "max_tokens": 8, "messages": messages}

    def _post(self, path: str, body: object) -> dict[str, str]:
        answer = httpx.post(self.base_url + path, json=body, headers=self._headers(), timeout=120).raise_for_status()
        return dict(answer.json())

    def _get(self, path: str) -> dict[str, str]:
        return dict(httpx.get(self.base_url + path, headers=self._headers()).raise_for_status().json())

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}


def _sum(lines: list[str], begin: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(begin))


def measure(stack: Stack, number: int, idle_minutes: int) -> Mapping[str, Mapping[str, float]]:
    """Operations a minute while idle, and a request and a job beyond that."""
    idle = _over(stack, lambda: stack.sleep(60.0 * idle_minutes), idle_minutes, {})
    return {
        "idle_minute": idle,
        "request": _over(stack, lambda: stack.requests(number), number, idle),
        "job": _over(stack, lambda: stack.jobs(number), number, idle),
    }


def _over(stack: Stack, work: Callable[[], None], number: int, idle: Mapping[str, float]) -> dict[str, float]:
    began, before = time.monotonic(), stack.count()
    work()
    if idle:
        stack.sleep(SETTLED_S)
    after, minutes = stack.count(), (time.monotonic() - began) / 60
    found = {
        "store_reads": after.reads - before.reads,
        "store_writes": after.writes - before.writes,
        "task_operations": 2 * (after.deliveries - before.deliveries),
    }
    return {name: round(max(0.0, value - idle.get(name, 0) * minutes) / number, 2) for name, value in found.items()}


def main() -> None:
    """Of the stack that `./omni up` runs in this checkout."""
    state = OPERATIONS.parent.parent / ".omni"
    lines = (state / "dev.env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines)
    ports = json.loads((state / "ports.json").read_text())
    pages = tuple(f"http://127.0.0.1:{port}/metrics" for port in ports.values())
    stack = Stack(env["OMNI_BASE_URL"], env["OMNI_API_KEY"], "smollm2-135m-instruct", pages)
    told = measure(stack, number=30, idle_minutes=3)
    text = [
        f"# Made by `python -m deploy.measure` on {datetime.now(UTC):%Y-%m-%d}: 30 requests, 30 jobs, 3 idle minutes."
    ]
    for name, values in told.items():
        text += ["", f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]
    OPERATIONS.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
