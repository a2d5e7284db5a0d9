"""Metrics that are pushed are those that could be scraped, and come from the processes that serve."""

from pathlib import Path

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from shared import telemetry
from shared.metrics_push import MetricsPush
from tests.gateway.conftest import CHAT
from tests.security import gateway
from tests.security.gateway import KEY, Behind, serving
from tests.waiting import wait_until


def accepted(_: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def pushed(collector: Behind) -> dict[str, Metric]:
    """By name, the latest push."""
    found: dict[str, Metric] = {}
    for request in collector.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        if head.startswith(b"POST /v1/metrics "):
            told = ExportMetricsServiceRequest.FromString(body)
            metrics = [
                metric for each in told.resource_metrics for scope in each.scope_metrics for metric in scope.metrics
            ]
            found |= {metric.name: metric for metric in metrics}
    return found


def test_counters_gauges_and_histograms_are_pushed_as_they_stand() -> None:
    telemetry.CACHE.labels("pushed", "hit").inc(3)
    telemetry.UPSTREAM_STATE.labels("pushed", "http://u").set(2)
    for seconds in (0.003, 0.003, 40, 4000):
        telemetry.FIRST_TOKEN.labels("pushed").observe(seconds)
    telemetry.count_tokens("a tenant", "pushed", 20, 3)
    telemetry.LATENCY.labels("chat_completions", "pushed").observe(0.2)
    telemetry.LATENCY.labels("jobs_get", "").observe(0.1)
    with serving(Behind()) as collector:
        collector.answer = accepted
        MetricsPush("test", collector.url).push()
    found = pushed(collector)
    [hits] = [each for each in found["omni_cache_requests"].sum.data_points if _of(each) == "pushed"]
    assert (hits.as_double, found["omni_cache_requests"].sum.is_monotonic) == (3, True)
    [state] = [each for each in found["omni_upstream_state"].gauge.data_points if _of(each) == "pushed"]
    assert state.as_double == 2
    [first] = [
        each for each in found["gen_ai.server.time_to_first_token"].histogram.data_points if _of(each) == "pushed"
    ]
    assert (first.count, round(first.sum, 3)) == (4, 4040.006)
    durations = {_of(each): each.sum for each in found["gen_ai.server.request.duration"].histogram.data_points}
    assert durations["pushed"] == 0.2
    assert "" not in durations
    tokens = found["gen_ai.client.token.usage"].histogram.data_points
    tokens_by_type = {_of(each, "gen_ai.token.type"): each.sum for each in tokens if _of(each) == "pushed"}
    assert tokens_by_type == {"input": 20, "output": 3}
    between = dict(zip([*first.explicit_bounds, "above"], first.bucket_counts, strict=True))
    assert {bound: count for bound, count in between.items() if count} == {0.005: 2, 60: 1, "above": 1}


def test_the_process_that_serves_pushes_what_it_counted(tmp_path: Path) -> None:
    with serving(Behind()) as collector:
        collector.answer = accepted
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRIC_EXPORT_INTERVAL": "200"}
        with gateway.running(tmp_path, **settings) as running:
            headers = {"x-api-key": KEY}
            assert httpx.post(f"{running.url}/v1/chat/completions", json=CHAT, headers=headers).is_success
            wait_until(lambda: answered(pushed(collector)) == 1, description="a push that tells of the request")


def answered(found: dict[str, Metric]) -> float:
    """Chat completions, by what was pushed."""
    points = found["omni_requests"].sum.data_points if "omni_requests" in found else []
    of_chats = [
        each for each in points if {label.value.string_value for label in each.attributes} >= {"chat_completions"}
    ]
    return float(sum(each.as_double for each in of_chats))


def _of(point: object, attribute: str = "gen_ai.request.model") -> str:
    attributes = {each.key: each.value.string_value for each in point.attributes}  # type: ignore[attr-defined]
    return str(attributes.get(attribute, ""))
