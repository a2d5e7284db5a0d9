"""What the platform tells of itself: JSON logs, and every metric in one list."""

import logging
import sys
import time
from collections.abc import Callable
from traceback import format_tb
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from shared.observability.line_buffer import to_standard_error
from shared.observability.metrics import Metrics

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

METRICS = Metrics()
REQUESTS = METRICS.counter("omni_requests_total", "Requests answered.", ("route", "method", "status"))
LATENCY = METRICS.histogram(
    "omni_request_duration_seconds",
    "From the request's head to the last byte sent; `model` is empty where none was asked.",
    ("route", "model"),
    bounds=LATENCY_BUCKETS_S,
)
OVERHEAD = METRICS.histogram(
    "omni_overhead_seconds", "From the request's head until an upstream was asked for the answer.", ("route",),
    bounds=LATENCY_BUCKETS_S,
)  # fmt: skip
TENANT_REQUESTS = METRICS.counter(
    "omni_tenant_requests_total", "Requests by whom and for what.", ("tenant", "model", "route")
)
TOKENS = METRICS.counter("omni_tokens_total", "Tokens that upstreams reported.", ("tenant", "model", "direction"))
TOKENS_EACH = METRICS.histogram(
    "omni_request_tokens", "Tokens of one request, as upstreams reported them.", ("model", "direction"),
    bounds=tuple(4**power for power in range(14)),
)  # fmt: skip
COST = METRICS.counter("omni_cost_usd_total", "Dollars that answers cost, by whom and for what.", ("tenant", "model"))
BUDGET_REFUSALS = METRICS.counter(
    "omni_budget_refusals_total", "Requests refused for a budget of a key or tenant, and why.", ("owner", "reason")
)
BUDGET_EXCHANGES = METRICS.counter("omni_budget_exchanges_total", "Leases and settlements of budgets in the store.")
USAGE_ROWS_LOST = METRICS.counter("omni_usage_rows_lost_total", "Rows of usage that gave way while the store was away.")
FIRST_TOKEN = METRICS.histogram(
    "omni_time_to_first_token_seconds", "From the request's head to a stream's first part.", ("model",),
    bounds=LATENCY_BUCKETS_S,
)  # fmt: skip
LIMIT_DECISIONS = METRICS.counter(
    "omni_limit_decisions_total", "Requests admitted, and refused by which limit.", ("tier", "decision", "limit")
)
LIMITER_EXCHANGES = METRICS.counter(
    "omni_limiter_exchanges_total", "Errands to the limiter: leases, slots, settlements."
)
LIMITER_DEGRADED = METRICS.gauge(
    "omni_limiter_degraded", "1 while each instance keeps its part of the limits by itself."
)
UPSTREAM_FAILURES = METRICS.counter(
    "omni_upstream_failures_total", "Exchanges with an upstream that failed.", ("model", "reason")
)
UPSTREAM_STATE = METRICS.gauge("omni_upstream_state", "Breaker: 0 closed, 1 half open, 2 open.", ("model", "upstream"))
CACHE = METRICS.counter("omni_cache_requests_total", "Inference requests by what the cache did.", ("model", "outcome"))
CACHE_FAILURES = METRICS.counter("omni_cache_failures_total", "Times that the cache could not be reached.")
REPLAYS = METRICS.counter("omni_idempotent_replays_total", "Requests answered by their idempotency key.", ("route",))
STORE_READS = METRICS.counter(
    "omni_store_reads_total", "Documents read from the store; a query that finds none counts as one.", ("collection",)
)
STORE_WRITES = METRICS.counter("omni_store_writes_total", "Documents written to the store or deleted.", ("collection",))
STORE_FAILING = METRICS.gauge("omni_store_failing", "1 when the store could not be reached the last time it was asked.")
SECRETS_FAILING = METRICS.gauge(
    "omni_secrets_failing", "1 while last known secrets are used, as their source does not answer."
)
DOCUMENTS_PASSED_OVER = METRICS.counter(
    "omni_documents_passed_over_total", "Documents that a schedule could not work on.", ("schedule", "collection")
)
DOCUMENTS_QUARANTINED = METRICS.counter(
    "omni_documents_quarantined_total",
    "Documents that were set aside, because round after round of a schedule failed on them.",
    ("schedule", "collection"),
)
JOBS_FINISHED = METRICS.counter("omni_jobs_finished_total", "Jobs that reached a final state.", ("task", "state"))
WEBHOOK_ATTEMPTS = METRICS.counter("omni_webhook_attempts_total", "Webhooks sent, by what came of it.", ("outcome",))
QUEUE_DEPTH = METRICS.gauge(
    "omni_queue_depth",
    "Jobs that have not ended, up to 100,000 a lane, as the schedule jobs_sweep counted them last.",
    ("lane",),
)
JOBS_RUNNING = METRICS.gauge("omni_jobs_running", "Jobs this process runs now.")
SLOTS_BUSY = METRICS.gauge("omni_worker_slots_busy", "Slots of the engine in use.")

REGISTRY.register(METRICS)

_encode = msgspec.json.Encoder(enc_hook=str).encode


def _story(error: BaseException | None) -> str:
    """Where an error comes from, and of what kind it and its causes are. What it says may quote a caller, so it is left
    out."""
    parts: list[str] = []
    while error is not None:
        parts.append("".join(format_tb(error.__traceback__)) + type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))


class JsonLines(logging.Formatter):
    """One JSON object a line, with Cloud Logging's names; fields come through `extra={"fields": {...}}`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "severity": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _story(record.exc_info[1])
        return _encode(line).decode()


def start_logging(service: str, level: str) -> None:
    """Sends this process's log to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)


PROBES = frozenset({"health", "ready", "metrics"})
"""Routes that machines ask all day long: their requests are logged for debugging only."""


class RequestLog:
    """Writes one JSON line a request past the logging machinery, which would cost ten times as much.

    The lines look as those of the other loggers do, and the same level decides whether they are written.
    """

    def __init__(self, service: str, write: Callable[[bytes], object] = to_standard_error) -> None:
        self._service = service
        self._write = write
        self._logger = logging.getLogger("omni.requests")

    def write(self, level: int, message: str, fields: dict[str, Any]) -> None:
        if level == logging.INFO and fields["route"] in PROBES:
            level = logging.DEBUG
        if not self._logger.isEnabledFor(level):
            return
        line = {
            "time": round(time.time(), 3),
            "severity": logging.getLevelName(level),
            "service": self._service,
            "logger": self._logger.name,
            "message": message,
            **fields,
        }
        self._write(_encode(line) + b"\n")


def count_tokens(tenant: str, model: str, tokens_in: int, tokens_out: int) -> None:
    """Those of one request."""
    for direction, tokens in (("input", tokens_in), ("output", tokens_out)):
        TOKENS.labels(tenant, model, direction).inc(tokens)
        TOKENS_EACH.labels(model, direction).observe(tokens)


def exposition() -> tuple[bytes, str]:
    """All metrics in Prometheus' text format, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
