"""What callers see while the model is not there, and when it fails them."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from jobs.ml_worker.engines import events
from jobs.ml_worker.engines.engine import EngineFailed, EngineMissing, Running
from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, TimedOut, UpstreamError
from shared.web import sse
from tests.fakes import FakeResponse
from tests.worker.application import Application, FakeEngine, problem

CHUNK = events.encoded({"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]})
LEAK = FakeResponse.json({"error": {"code": 500, "message": "secret path"}}, 500)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(Running("http://engine", 100))


@pytest.fixture
def app(tmp_path: Path, engine: FakeEngine) -> Application:
    return Application(tmp_path, engine)


def test_501_when_the_worker_serves_no_model(tmp_path: Path) -> None:
    app = Application(tmp_path)
    assert app.request("GET", "/ready").status_code == 200
    assert problem(app.chat())[:2] == (501, "model_not_installed")


def test_501_names_what_is_not_installed(app: Application, engine: FakeEngine) -> None:
    engine.failure = EngineMissing("The package x is not installed.")
    response = app.chat()
    assert problem(response)[:2] == (501, "model_not_installed")
    assert "package x" in response.json()["error"]["message"]


def test_503_while_the_model_is_loading(app: Application, engine: FakeEngine) -> None:
    engine.failure = EngineFailed("The weights are not the ones expected.")
    response = app.chat()
    assert problem(response)[:2] == (503, "model_loading")
    assert response.headers["retry-after"]
    ready = app.request("GET", "/ready")
    assert ready.status_code == 503
    assert ready.json()["services"]["model"] == "The weights are not the ones expected."
    assert app.request("GET", "/api/health").status_code == 200


def test_the_model_is_ready_only_when_it_has_answered_once(app: Application, engine: FakeEngine) -> None:
    app.answers(lambda _: FakeResponse.json({"error": {"message": "not yet"}}, 503))
    assert app.request("GET", "/ready").status_code == 503


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (ConnectFailed("refused"), 503, "model_loading"),
        (TimedOut("silent"), 504, "upstream_timeout"),
        (BrokenOff("reset"), 502, "upstream_failed"),
        (LEAK, 502, "upstream_failed"),
        (FakeResponse.stream(CHUNK), 502, "upstream_failed"),
        (FakeResponse.stream(b"data: {broken\n\n", sse.LAST), 502, "upstream_failed"),
    ],
)
def test_an_engine_that_fails_is_named_and_its_words_stay_inside(
    app: Application, answer: FakeResponse | UpstreamError, status: int, code: str
) -> None:
    response = failing_after_start(app, answer)
    assert problem(response)[:2] == (status, code)
    assert "secret" not in response.text


@pytest.mark.parametrize(
    "rest",
    [
        (),
        (BrokenOff("reset"),),
        (b'data: {"error":{"code":500,"message":"died","type":"server_error"}}\n\n', sse.LAST),
        (b'error: {"code":500,"message":"died"}\n\n',),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error_and_not_with_done(
    app: Application, rest: tuple[bytes | UpstreamError, ...]
) -> None:
    response = failing_after_start(app, FakeResponse.stream(CHUNK, *rest), stream=True)
    assert response.status_code == 200
    *_, last = response.text.strip().split("\n\n")
    error = msgspec.json.decode(last.removeprefix("data: "))
    assert error["error"]["code"] == "upstream_failed"
    assert error["request_id"] == response.headers["x-request-id"]
    assert "[DONE]" not in response.text


def failing_after_start(app: Application, answer: FakeResponse | UpstreamError, **fields: Any) -> httpx.Response:
    """The answer to a conversation with an engine that loads well and then answers like this."""

    def engine_answers(request: OutgoingRequest) -> FakeResponse | UpstreamError:
        return answer if b'"messages"' in request.body else FakeResponse.json({})

    app.answers(engine_answers)
    return app.chat(**fields)


class DyingEngine(FakeEngine):
    """Ends as soon as it has started for the first time."""

    async def ended(self) -> str:
        return "killed" if self.starts == 1 else await super().ended()


def test_an_engine_that_ends_is_started_again(tmp_path: Path) -> None:
    engine = DyingEngine(Running("http://engine", 100))
    app = Application(tmp_path, engine)

    async def served_again() -> None:
        async with app.http() as http:
            ready = 0
            while engine.starts < 2 or ready != 200:
                ready = (await http.get("/ready")).status_code

    asyncio.run(asyncio.wait_for(served_again(), 10))
