"""Numbers in tables read as those of prometheus_client do."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from shared.observability.metrics import Metrics

BOUNDS = (0.001, 1, 4**13)


def lines(exposed: bytes) -> list[str]:
    """Without the time at which prometheus_client made a series, which nobody reads."""
    return [line for line in exposed.decode().splitlines() if "_created" not in line]


def test_the_exposition_is_that_of_prometheus_client() -> None:
    ours, theirs = Metrics(), CollectorRegistry()
    counters: tuple[Any, Any] = (
        ours.counter("omni_some_total", "How many.", ("tenant", "model")),
        prometheus_client.Counter("omni_some_total", "How many.", ("tenant", "model"), registry=theirs),
    )
    gauges: tuple[Any, Any] = (
        ours.gauge("omni_depth", "How deep.", ("lane",)),
        prometheus_client.Gauge("omni_depth", "How deep.", ("lane",), registry=theirs),
    )
    histograms: tuple[Any, Any] = (
        ours.histogram("omni_seconds", "How long.", ("route",), bounds=BOUNDS),
        prometheus_client.Histogram("omni_seconds", "How long.", ("route",), buckets=BOUNDS, registry=theirs),
    )
    ours.counter("omni_lost_total", "Lost.")
    prometheus_client.Counter("omni_lost_total", "Lost.", registry=theirs)
    for counter, gauge, histogram in zip(counters, gauges, histograms, strict=True):
        counter.labels("a", 'quoted "b"\n').inc()
        counter.labels("a", "c").inc(2.5)
        counter.labels("a", "c").inc()
        gauge.labels("jobs").set(3)
        gauge.labels("asked").set_function(lambda: 7)
        with gauge.labels("busy").track_inprogress():
            pass
        for seconds in (0.001, 0.0011, 1, 5, 1e12):
            histogram.labels("chat").observe(seconds)
    assert lines(generate_latest(ours)) == lines(generate_latest(theirs))


def test_what_many_threads_count_is_exact() -> None:
    metrics = Metrics()
    counter = metrics.counter("omni_some_total", "How many.", ("thread",))
    histogram = metrics.histogram("omni_seconds", "How long.", (), bounds=BOUNDS)

    def count(_: int) -> None:
        for _each in range(5000):
            counter.labels("any").inc()
            histogram.labels().observe(0.5)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
    registry = CollectorRegistry()
    registry.register(metrics)
    assert registry.get_sample_value("omni_some_total", {"thread": "any"}) == 40_000
    assert registry.get_sample_value("omni_seconds_bucket", {"le": "1.0"}) == 40_000
    assert registry.get_sample_value("omni_seconds_sum") == 20_000


def test_a_row_with_labels_that_the_metric_has_not_is_refused() -> None:
    counter = Metrics().counter("omni_some_total", "How many.", ("tenant", "model"))
    with pytest.raises(ValueError, match="omni_some_total"):
        counter.labels("a tenant only")
