"""Counts what a running local stack does, for the bill: `python -m deploy.measure` writes deploy/operations.toml.

Documents and deliveries are counted by the platform's own metrics. A request and a job are counted one at a time, each
from its beginning until its last write, several times over: what schedules do meanwhile only adds, so the least is what
one costs, however busy the machine is.
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
ROWS, DAYS = '{collection="usage"}', '{collection="usage_days"}'
LOOK_EVERY_S = 0.2
DONE_WITHIN_S = 300.0

Operations = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Count:
    reads: float
    writes: float
    deliveries: float
    rows: tuple[float, float]
    """Reads and writes of usage rows and of their sums."""
    summed: float
    """Documents of rows that were added to the sums. One has rows of one caller and model only, as those made here."""

    @property
    def documents(self) -> float:
        """Of rows that were written."""
        return self.rows[1] - 2 * self.summed


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
            _sum(lines, READS),
            _sum(lines, WRITES),
            _sum(lines, REQUESTS + '{method="POST",route="tasks_run"'),
            (
                _sum(lines, READS + ROWS) + _sum(lines, READS + DAYS),
                _sum(lines, WRITES + ROWS) + _sum(lines, WRITES + DAYS),
            ),
            _sum(lines, WRITES + DAYS),
        )

    def request(self) -> Operations:
        """What a request costs that is alone, so that its row has a document of its own."""
        before = self.count()
        self._post("/v1/chat/completions", self._chat())
        return _between(before, self._until(lambda now: now.documents > before.documents))

    def job(self) -> Operations:
        """What a job costs whose caller asks for it once."""
        before = self.count()
        job = self._post("/api/v1/jobs", {"task": "chat_completions", "model": self.model, "input": self._chat()})
        self._until(lambda now: now.documents > before.documents and now.deliveries > before.deliveries)
        if (state := self._get(f"/api/v1/jobs/{job['id']}")["state"]) != "succeeded":
            raise RuntimeError(f"{job['id']} is {state}")
        return _between(before, self.count())

    def sums(self, before: Count) -> Operations:
        """What it costs to add one of the documents of rows that were written since then to the sums."""
        written = self.count().documents - before.documents
        after = self._until(lambda now: now.summed >= before.summed + written)
        reads, writes = after.rows[0] - before.rows[0], after.rows[1] - before.rows[1] - written
        # Rounded down: a look that finds nothing costs a read, too, which is the idle minute's.
        return {"store_reads": reads // written, "store_writes": writes / written, "task_operations": 0.0}

    def _until(self, condition: Callable[[Count], bool]) -> Count:
        deadline = time.monotonic() + DONE_WITHIN_S
        while not condition(now := self.count()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done after {DONE_WITHIN_S:g} s: {now}")
            self.sleep(LOOK_EVERY_S)
        return now

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


def idle_minute(stack: Stack, minutes: int) -> Operations:
    before = stack.count()
    stack.sleep(60.0 * minutes)
    return {name: round(number / minutes, 2) for name, number in _between(before, stack.count()).items()}


def operations(stack: Stack, times: int) -> Mapping[str, Operations]:
    """Of a request, of a job, and of adding the usage rows of either to the sums; all rows before must be added."""
    before = stack.count()
    requests, jobs = [stack.request() for _ in range(times)], [stack.job() for _ in range(times)]
    return {"request": _least(requests), "job": _least(jobs), "sums": stack.sums(before)}


def _between(before: Count, after: Count) -> Operations:
    return {
        "store_reads": after.reads - before.reads,
        "store_writes": after.writes - before.writes,
        "task_operations": 2 * (after.deliveries - before.deliveries),
    }


def _least(found: list[Operations]) -> Operations:
    return {name: min(each[name] for each in found) for name in found[0]}


def main() -> None:
    """Of the stack that `./omni up` runs in this checkout."""
    state = OPERATIONS.parent.parent / ".omni"
    lines = (state / "dev.env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines)
    ports = json.loads((state / "ports.json").read_text())
    pages = tuple(f"http://127.0.0.1:{port}/metrics" for port in ports.values())
    stack = Stack(env["OMNI_BASE_URL"], env["OMNI_API_KEY"], "smollm2-135m-instruct", pages)
    told = {"idle_minute": idle_minute(stack, 3), **operations(stack, 10)}
    text = [
        f"# Made by `python -m deploy.measure` on {datetime.now(UTC):%Y-%m-%d}: 3 idle minutes, 10 requests, 10 jobs."
    ]
    for name, values in told.items():
        text += ["", f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]
    OPERATIONS.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
