"""One span a request, joined to the caller's trace and handed on. Sent by OTLP only when asked for."""

import json
import logging
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from functions.gateway.log_requests import TRACE
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


@pytest.mark.parametrize(("project", "before"), [("", ""), ("acme-prod", "projects/acme-prod/traces/")])
def test_the_log_line_of_a_request_belongs_to_its_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], project: str, before: str
) -> None:
    caplog.set_level(logging.INFO, "omni.requests")
    world = World(tmp_path, project=project)
    for given in (PARENT, "nonsense"):
        world.request("POST", "/v1/chat/completions", json=CHAT, headers={"traceparent": given})
    traced, untraced = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert traced[TRACE] == before + PARENT.split("-")[1]
    assert TRACE not in untraced


def test_a_head_that_is_refused_writes_no_nonsense_into_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "omni.requests")
    world = World(tmp_path, max_header_bytes=1000)
    headers = {"traceparent": "planted", "x-large": "x" * 1000}
    assert world.request("GET", "/v1/models", headers=headers).status_code == 431
    assert "planted" not in capfd.readouterr().err


def test_without_an_endpoint_there_is_no_tracer() -> None:
    assert reporting.tracer(Settings(), "gateway") is None


def test_a_missing_extra_is_said_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk", None)
    assert reporting.tracer(Settings(otlp_endpoint="http://127.0.0.1:1"), "gateway") is None
    assert "no traces are sent" in caplog.text
