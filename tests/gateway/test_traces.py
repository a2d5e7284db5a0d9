"""One span a request, joined to the caller's trace and handed on. Sent by OTLP only when asked for."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import reporting
from shared.settings import Settings
from tests.gateway.conftest import CHAT, World

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(reporting, "tracer", lambda *_: provider.get_tracer("test"))
    return exporter


def test_a_request_is_one_span_in_the_callers_trace(
    spans: InMemorySpanExporter, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue("world")
    world.request("POST", "/v1/chat/completions", json=CHAT, headers={"traceparent": PARENT})
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert span.parent is not None
    assert span.name == "POST chat_completions"
    assert f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert dict(span.attributes or {})["gen_ai.usage.output_tokens"] == 5
    handed_on = dict(world.upstream.requests[0].headers)["traceparent"].split("-")
    assert handed_on[1:3] == [PARENT.split("-")[1], f"{span.context.span_id:016x}"]


def test_without_an_endpoint_there_is_no_tracer() -> None:
    assert reporting.tracer(Settings(), "gateway") is None


def test_a_missing_extra_is_said_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk", None)
    assert reporting.tracer(Settings(otlp_endpoint="http://127.0.0.1:1"), "gateway") is None
    assert "no traces are sent" in caplog.text
