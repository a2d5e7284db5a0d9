"""A key and a prompt that were planted are found in no log, trace, metric, header or error report, whatever fails."""

import gzip
import json
import logging
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import manifest
from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.telemetry import JsonLines
from tests.caller_keys import PRIVATE_KEY
from tests.managed_keys import KeyOffice
from tests.security import gateway
from tests.security.gateway import Behind, Gateway, completion
from tests.waiting import wait_until

PROMPT = "the-aunt-hid-it-below-the-oak-7f3"
STATIC = "prod-key-acme-planted4711"
SIGNING, UPSTREAM_KEY = PRIVATE_KEY.splitlines()[1], "sk-planted4711"
ROUTES = [route for route in manifest.load() if route.kind != "schedule"]


def error(status: int, body: bytes) -> Callable[[bytes], bytes]:
    head = b"HTTP/1.1 %d No\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return lambda _: head % (status, len(body)) + body


def echoing(status: int) -> Callable[[bytes], bytes]:
    """An upstream that says in its refusal what it was asked, and with which key."""
    told = json.dumps({"error": {"message": f"{PROMPT} {UPSTREAM_KEY}", "code": PROMPT, "type": PROMPT}}).encode()
    return error(status, told)


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
FAILURES: dict[str, Callable[[bytes], bytes]] = {
    "none": completion,
    **{f"refuses with {status}": echoing(status) for status in (302, 400, 401, 404, 413, 422, 429, 500, 502, 503, 504)},
    "hangs up": lambda _: b"",
    "speaks nonsense": lambda _: PROMPT.encode() + b"\r\n\r\n",
    "has a strange head": lambda _: b"HTTP/1.1 200 OK\r\n" + PROMPT.encode() + b"\r\n\r\n",
    "answers with no JSON": error(200, PROMPT.encode()),
    "breaks a stream off": lambda _: STREAM + b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % PROMPT.encode(),
    "streams nonsense": lambda _: STREAM + PROMPT.encode() + b"\n\ndata: [DONE]\n\n",
    "streams an error": lambda _: STREAM + b'data: {"error":{"message":"%b"}}\n\n' % PROMPT.encode(),
}
BODIES: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "whole": lambda body: json.dumps(body).encode(),
    "cut off": lambda body: json.dumps(body).encode()[:-9],
    "of a wrong type": lambda body: json.dumps(body | {"messages": PROMPT, "max_tokens": PROMPT}).encode(),
    "with a wrong model": lambda body: json.dumps(body | {"model": PROMPT}).encode(),
    "no UTF-8": lambda body: json.dumps(body).encode() + b"\xff",
    "too deep": lambda body: b"[" * 100 + json.dumps(body).encode(),
    "empty": lambda _: b"",
}


class Watched:
    """A gateway, and all that it tells anybody but its callers."""

    def __init__(self, running: Gateway, collector: Behind, managed: str) -> None:
        self.running = running
        self.collector = collector
        self.keys = {"static": STATIC, "managed": managed, "wrong": STATIC + "x", "none": ""}
        self.planted = [PROMPT, STATIC, managed, managed[18:40], SIGNING, UPSTREAM_KEY]
        self.client = httpx.Client(base_url=running.url, timeout=20)
        self._read = 0

    def logged(self) -> str:
        """What was written since the last look."""
        text = self.running.log.read_bytes()
        new, self._read = text[self._read :], len(text)
        return new.decode(errors="replace")

    def leaks(self, *texts: str) -> list[str]:
        return [planted for planted in self.planted for text in texts if planted in text]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("gateway")
    _, managed = KeyOffice(SqliteStore(folder / "omni.db", SystemClock())).new()
    with (
        gateway.serving(Behind()) as collector,
        gateway.running(
            folder,
            API_KEYS=STATIC,
            UPSTREAM_KEY=UPSTREAM_KEY,
            OMNI_LOG_LEVEL="DEBUG",
            OMNI_SLOW_REQUEST_S="0",
            OMNI_INVALID_KEYS_PER_MINUTE="100000",
            OMNI_TIER_LIMITS="premium.requests_per_minute=0,premium.tokens_per_minute=0",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="200",
            OTEL_METRIC_EXPORT_INTERVAL="500",
            SENTRY_DSN=collector.url.replace("://", "://public@") + "/1",
        ) as running,
    ):
        watched = Watched(running, collector, managed)
        yield watched
        watched.client.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from(ROUTES),
    key=st.sampled_from(["static", "managed", "wrong", "none"]),
    place=st.sampled_from(["authorization", "x-api-key", "query", "cookie", "basic", "x-request-id"]),
    failure=st.sampled_from(sorted(FAILURES)),
    body=st.sampled_from(sorted(BODIES)),
    model=st.sampled_from(["small", "elsewhere"]),
    stream=st.booleans(),
    idempotent=st.booleans(),
)
def test_what_is_planted_is_not_found(
    watched: Watched,
    route: manifest.Route,
    key: str,
    place: str,
    failure: str,
    body: str,
    model: str,
    stream: bool,  # noqa: FBT001
    idempotent: bool,  # noqa: FBT001
) -> None:
    watched.running.behind.answer = FAILURES[failure]
    path = re.sub(r"\{[^}]*\}", PROMPT, route.path)
    asked = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "prompt": PROMPT, "stream": stream}
    headers, query = _with_key(watched.keys[key], place)
    headers |= {"idempotency-key": f"{PROMPT}-{failure}"} if idempotent else {}
    content = BODIES[body](asked) if route.methods[0] != "GET" else b""
    response = watched.client.request(route.methods[0], path, params=query, headers=headers, content=content)
    told = {name: value for name, value in response.headers.items() if name != "allow"}
    assert not watched.leaks(str(told), watched.logged())
    assert STATIC not in response.text
    assert SIGNING not in response.text
    if route.kind == "inference" and response.status_code >= 500:
        assert UPSTREAM_KEY not in response.text


def test_what_was_planted_is_in_no_trace_report_or_metric(watched: Watched) -> None:
    watched.running.behind.answer = FAILURES["speaks nonsense"]
    for _ in range(3):
        watched.client.post("/v1/chat/completions", json=asked_for(), headers={"x-api-key": STATIC})
    sent = _until_told(watched.collector)
    assert {path.split("/")[-1] for path in sent} >= {"traces", "metrics"}
    assert not watched.leaks(*sent.values(), watched.client.get("/metrics").text, watched.logged())


def test_the_story_of_an_unexpected_error_leaves_out_what_it_quotes() -> None:
    def fail() -> None:
        try:
            int(PROMPT)
        except ValueError as error:
            raise RuntimeError(STATIC) from error

    with pytest.raises(RuntimeError) as raised:
        fail()
    record = logging.LogRecord("omni", logging.ERROR, "", 0, "unexpected error", (), raised._excinfo)
    line = JsonLines("gateway").format(record)
    assert PROMPT not in line
    assert STATIC not in line
    assert all(told in line for told in ("ValueError", "RuntimeError", "in fail", "test_hygiene.py"))


def asked_for() -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": PROMPT}]}


def _with_key(key: str, place: str) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and a query that hold the key."""
    match place if key else "":
        case "":
            return {}, {}
        case "authorization":
            return {"authorization": f"Bearer {key}"}, {}
        case "x-request-id":
            return {"x-api-key": key, "x-request-id": key}, {}
        case "basic":
            return {"authorization": f"Basic {key}"}, {}
        case "query":
            return {}, {"key": key, "api_key": key}
        case "cookie":
            return {"cookie": f"key={key}"}, {}
    return {place: key}, {}


def _until_told(collector: Behind) -> dict[str, str]:
    wait_until(lambda: any(b"/v1/traces" in each[:200] for each in collector.requests), description="a trace")
    wait_until(lambda: any(b"/v1/metrics" in each[:200] for each in collector.requests), description="metrics")
    wait_until(lambda: any(b"/envelope" in each[:200] for each in collector.requests), description="an error report")
    return {request.split(b" ")[1].decode(): _content(request) for request in collector.requests}


def _content(request: bytes) -> str:
    head, _, body = request.partition(b"\r\n\r\n")
    head = head.lower()
    if b"content-encoding: gzip" in head:
        body = gzip.decompress(body)
    elif b"content-encoding: deflate" in head:
        body = zlib.decompress(body)
    return (head + body).decode("latin-1")
