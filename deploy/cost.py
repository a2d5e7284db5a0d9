"""The monthly bill, line by line, from unit prices (prices.toml) and counted operations (operations.toml).

Callers are taken to come at random, evenly over day and night: an instance that waits `IDLE_TAIL_S` for the next one is
up for the share 1 - e^(-rate · tail) of the time. Busy hours cost less per request, and a single burst a day far less.
"""

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DAYS = 30.4
DAY_S = 86_400.0
MONTH_S = DAYS * DAY_S
IDLE_TAIL_S = 900.0
"""How long Cloud Run keeps an instance that nobody calls."""
START_S = 120.0
"""Until a GPU's instance with its model is up; paid for as the rest."""
ROUTE_S = 0.1
"""The least that a function's call is billed."""
ROWS_WAIT_S = 0.4
"""So long the gateway gathers usage rows for one document."""
USE = 0.6
"""Of an instance, on average: more come before it is full."""


@dataclass(frozen=True, slots=True)
class Load:
    requests_per_day: int
    tokens: int
    """That a request generates."""
    job_seconds: float
    """Of a worker's instance, a day, for jobs."""
    jobs_per_day: int
    tokens_per_second: float
    """Of one instance of the worker, all its callers together."""
    stream_tokens_per_second: float
    """For one caller: how long a request lasts."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What costs money whether anybody calls or not."""

    schedules: int
    secrets: int
    accelerator: str = "nvidia-l4"
    worker_cpu: float = 4
    worker_gib: float = 16
    gateway_gib: float = 0.5
    gateway_min_instances: int = 0
    worker_min_instances: int = 0
    redis: str = ""
    """A tier of prices.toml; empty: none."""
    redis_gib: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    quantity: float
    unit: str
    usd: float
    """A month."""
    price: str = ""
    """The unit price it is made of, where it is one alone."""


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / name).read_text())


def unchecked(prices: dict[str, Any], lines: list[Line]) -> list[str]:
    """The names of those lines whose price was read nowhere."""
    return [line.name for line in lines if line.price and not prices["source"][line.price]]


def bill(load: Load, setup: Setup, prices: dict[str, Any], operations: dict[str, Any]) -> list[Line]:
    unit = prices["unit"]
    return [
        *_worker(load, setup, unit),
        *_gateway(load, setup, unit),
        *_calls(load, setup, unit),
        *_documents(load, unit, operations),
        *_fixed(setup, unit),
    ]


def up_share(rate: float, tail_s: float) -> float:
    """The share of the time that something is up which stays for `tail_s` after each of `rate` arrivals a second."""
    return -math.expm1(-rate * tail_s)


def worker_seconds(load: Load, setup: Setup) -> float:
    """Instance seconds of the worker, a day."""
    busy_s = load.requests_per_day * load.tokens / load.tokens_per_second + load.job_seconds
    arrivals = (load.requests_per_day + load.jobs_per_day) / DAY_S
    if not arrivals:
        return setup.worker_min_instances * DAY_S
    starts = arrivals * DAY_S * math.exp(-arrivals * IDLE_TAIL_S)
    first_s = min(DAY_S, DAY_S * up_share(arrivals, IDLE_TAIL_S) + starts * START_S)
    return max(setup.worker_min_instances * DAY_S, first_s, busy_s / USE)


def _worker(load: Load, setup: Setup, unit: dict[str, Any]) -> Iterator[Line]:
    seconds = DAYS * worker_seconds(load, setup)
    gpu = unit["gpu_second"][setup.accelerator]
    machine = setup.worker_cpu * unit["instance_cpu_second"] + setup.worker_gib * unit["instance_gib_second"]
    yield Line(f"Worker: {setup.accelerator}", seconds / 3600, "hours", seconds * gpu)
    yield Line("Worker: CPU and memory", seconds / 3600, "hours", seconds * machine)


def _gateway(load: Load, setup: Setup, unit: dict[str, Any]) -> Iterator[Line]:
    lasts_s = load.tokens / load.stream_tokens_per_second
    active_s = MONTH_S * up_share(load.requests_per_day / DAY_S, lasts_s)
    price = unit["request_cpu_second"] + setup.gateway_gib * unit["request_gib_second"]
    yield Line("Gateway: while a request runs", active_s / 3600, "hours", active_s * price)
    if setup.gateway_min_instances:
        kept_s = setup.gateway_min_instances * MONTH_S
        price = unit["instance_cpu_second"] + setup.gateway_gib * unit["instance_gib_second"]
        yield Line("Gateway: instances that always stay", kept_s / 3600, "hours", kept_s * price)


def _calls(load: Load, setup: Setup, unit: dict[str, Any]) -> Iterator[Line]:
    scheduled = setup.schedules * DAYS * 24 * 60
    calls = scheduled + DAYS * (load.requests_per_day + 2 * load.jobs_per_day)
    functions_s = (scheduled + DAYS * 2 * load.jobs_per_day) * ROUTE_S
    yield Line("Requests to gateway and functions", calls, "requests", calls * unit["request"])
    price = unit["request_cpu_second"] + 0.5 * unit["request_gib_second"]
    yield Line("Functions: schedules and jobs", functions_s / 3600, "hours", functions_s * price)


def documents_of_rows(requests_per_day: int) -> float:
    """That one gateway's instance writes a day: whoever comes while rows are gathered shares the document."""
    rate = requests_per_day / DAY_S
    return requests_per_day / (1 + rate * ROWS_WAIT_S)


def _documents(load: Load, unit: dict[str, Any], operations: dict[str, Any]) -> Iterator[Line]:
    def month(operation: str) -> float:
        names = ("idle_minute", "request", "job", "sums")
        idle, request, job, sums = (float(operations[name][operation]) for name in names)
        written = documents_of_rows(load.requests_per_day)
        return DAYS * (24 * 60 * idle + written * (request + sums) + load.jobs_per_day * (job + sums))

    reads, writes, tasks = month("store_reads"), month("store_writes"), month("task_operations")
    yield Line("Firestore: reads", reads, "documents", reads * unit["store_read"])
    yield Line("Firestore: writes", writes, "documents", writes * unit["store_write"])
    yield Line("Cloud Tasks", tasks, "operations", tasks * unit["task_operation"])


def _fixed(setup: Setup, unit: dict[str, Any]) -> Iterator[Line]:
    yield Line(
        "Cloud Scheduler",
        setup.schedules,
        "schedules",
        setup.schedules * unit["scheduler_job_month"],
        "scheduler_job_month",
    )
    yield Line(
        "Secret Manager", setup.secrets, "secrets", setup.secrets * unit["secret_version_month"], "secret_version_month"
    )
    if setup.redis:
        usd = setup.redis_gib * MONTH_S * unit["redis_gb_second"][setup.redis]
        yield Line(f"Redis, {setup.redis.replace('_', ' ')}", setup.redis_gib, "GB", usd, "redis_gb_second")
