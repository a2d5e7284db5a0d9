"""Metrics pushed by OTLP over HTTP (extra `otel`): nobody can scrape an instance that may be gone a moment later.

All that `/metrics` shows goes to the collector as it stands: sums since the process began. What OpenTelemetry has a
name for goes by that name.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, Metric
from prometheus_client.samples import Sample

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Gauge, Histogram, HistogramDataPoint, Sum
    from opentelemetry.sdk.metrics.export import Metric as Told

PUSHED = ("omni_", "process_")
NAMES = {
    "omni_request_duration_seconds": "http.server.request.duration",
    "omni_time_to_first_token_seconds": "gen_ai.server.time_to_first_token",
    "omni_request_tokens": "gen_ai.client.token.usage",
}
NAMES_OF_MODELS = {"omni_request_duration_seconds": "gen_ai.server.request.duration"}
"""By these what has a model is told once more."""
LABELS = {"model": "gen_ai.request.model", "direction": "gen_ai.token.type"}


class MetricsPush:
    """What one process pushes."""

    def __init__(self, service: str, endpoint: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.resources import Resource

        self._exporter = OTLPMetricExporter(endpoint=f"{endpoint.rstrip('/')}/v1/metrics")
        self._resource = Resource({"service.name": f"omni-{service}", "service.instance.id": os.urandom(8).hex()})
        self._started_ns = time.time_ns()

    def push(self) -> None:
        """The exporter logs what it could not deliver; the next push tells all of it."""
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        now_ns = time.time_ns()
        families = [family for family in REGISTRY.collect() if family.name.startswith(PUSHED)]
        named = [(NAMES.get(family.name, family.name), family, family.samples) for family in families]
        named += [
            (NAMES_OF_MODELS[family.name], family, [each for each in family.samples if each.labels["model"]])
            for family in families
            if family.name in NAMES_OF_MODELS
        ]
        told = [_told(*each, self._started_ns, now_ns) for each in named]
        scope = ScopeMetrics(InstrumentationScope("omni"), told, "")
        self._exporter.export(MetricsData([ResourceMetrics(self._resource, [scope], "")]))


def start(service: str, endpoint: str, every_s: float, *, forks: bool) -> None:
    """Pushes to the collector from now on, in a thread. `forks`: the server does so, and only its children serve."""

    def begin() -> None:
        threading.Thread(target=_push_on, args=(service, endpoint, every_s), name="metrics", daemon=True).start()

    if forks:
        os.register_at_fork(after_in_child=begin)
    else:
        begin()


def _push_on(service: str, endpoint: str, every_s: float) -> None:
    pushes = MetricsPush(service, endpoint)
    while True:
        time.sleep(every_s)
        pushes.push()


def _told(name: str, family: Metric, samples: Sequence[Sample], started_ns: int, now_ns: int) -> "Told":
    from opentelemetry.sdk.metrics.export import Metric as Told

    kinds: Mapping[str, Callable[[Iterable[Sample], int, int], Sum | Gauge | Histogram]]
    kinds = {"counter": _sum, "histogram": _histogram}
    data = kinds.get(family.type, _gauge)(samples, started_ns, now_ns)
    return Told(name, family.documentation, "", data)


def _sum(samples: Iterable[Sample], started_ns: int, now_ns: int) -> "Sum":
    from opentelemetry.sdk.metrics.export import AggregationTemporality, NumberDataPoint, Sum

    points = [
        NumberDataPoint(_attributes(sample.labels), started_ns, now_ns, sample.value)
        for sample in samples
        if sample.name.endswith("_total")
    ]
    return Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)


def _gauge(samples: Iterable[Sample], started_ns: int, now_ns: int) -> "Gauge":
    from opentelemetry.sdk.metrics.export import Gauge, NumberDataPoint

    return Gauge([NumberDataPoint(_attributes(each.labels), started_ns, now_ns, each.value) for each in samples])


def _histogram(samples: Iterable[Sample], started_ns: int, now_ns: int) -> "Histogram":
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram

    return Histogram(list(_distributions(samples, started_ns, now_ns)), AggregationTemporality.CUMULATIVE)


def _distributions(samples: Iterable[Sample], started_ns: int, now_ns: int) -> "Iterator[HistogramDataPoint]":
    """One for each set of labels: Prometheus counts what is below a bound, OpenTelemetry what is between two."""
    from opentelemetry.sdk.metrics.export import HistogramDataPoint

    for labels, group in groupby(samples, lambda each: {name: at for name, at in each.labels.items() if name != "le"}):
        buckets: list[Sample] = []
        values: dict[str, float] = {}
        for sample in group:
            if "le" in sample.labels:
                buckets.append(sample)
            else:
                values[sample.name.rpartition("_")[2]] = sample.value
        counts = [int(after - before) for before, after in pairwise([0.0, *(each.value for each in buckets)])]
        bounds = [float(each.labels["le"]) for each in buckets[:-1]]
        yield HistogramDataPoint(
            _attributes(labels), started_ns, now_ns, int(values["count"]), values["sum"], counts, bounds, 0.0, 0.0
        )


def _attributes(labels: Mapping[str, str]) -> dict[str, str]:
    return {LABELS.get(name, name): value for name, value in labels.items()}
