"""Behind the gateway: who comes in, and as whom; and the wake-ups that the queue sends."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.ml_worker.engines import events
from jobs.ml_worker.engines.engine import Running
from shared.core import keys
from shared.core.keys import Caller, Scope, Tier
from shared.keys.caller_token import HEADER, WORKER, Call
from shared.web import sse
from tests import caller_keys
from tests.caller_keys import OTHER_PRIVATE_KEY, PRIVATE_KEY
from tests.fakes import FakeResponse
from tests.worker.application import CHAT, MODEL, Application, FakeEngine, problem

PATH = "/internal/v1/chat/completions"
ANN = Caller("k1", "ann", Tier.FREE, frozenset({Scope.INFERENCE}), 1)
WAKE_UP = {"job_id": "job_nobody", "seq": 1}


@pytest.fixture
def app(tmp_path: Path) -> Application:
    return Application(tmp_path, run_as_internal=True, environment="local")


def signed(app: Application, caller: Caller, path: str, key: str = PRIVATE_KEY, **options: Any) -> httpx.Response:
    return app.request("POST", path, None, headers={HEADER: token(app, caller, path, key)}, **options)


def token(app: Application, caller: Caller, path: str, key: str = PRIVATE_KEY, audience: str = WORKER) -> str:
    call = Call(audience, "POST", path.removeprefix("/internal"))
    return caller_keys.signed(caller, call, app.clock.now(), private_key=key)


def test_the_signed_caller_is_believed_and_not_limited(app: Application) -> None:
    answers = [problem(signed(app, ANN, PATH, json=CHAT))[1] for _ in range(3)]
    assert answers == ["model_not_installed"] * 3


def test_401_for_anyone_else(app: Application) -> None:
    assert problem(app.request("POST", PATH, json=CHAT))[0] == 401
    assert problem(signed(app, ANN, PATH, key=OTHER_PRIVATE_KEY, json=CHAT))[0] == 401


def test_401_for_a_caller_that_was_signed_for_another_path_or_receiver(app: Application) -> None:
    for elsewhere in (token(app, ANN, "/v1/completions"), token(app, ANN, PATH, audience="jobs_create")):
        refused = app.request("POST", PATH, None, headers={HEADER: elsewhere}, json=CHAT)
        assert problem(refused)[:2] == (401, "invalid_caller")


def test_system_pages_need_no_caller(app: Application) -> None:
    for path in ("/api/health", "/ready", "/metrics", "/api/openapi.json", "/internal/api/health"):
        assert app.request("GET", path, None).status_code == 200


def test_a_wake_up_comes_from_the_system(app: Application) -> None:
    assert problem(signed(app, ANN, "/tasks/run", json=WAKE_UP))[0] == 403
    assert signed(app, keys.SYSTEM, "/tasks/run", json=WAKE_UP).status_code == 200


def test_400_for_a_wake_up_without_its_number(app: Application) -> None:
    assert problem(signed(app, keys.SYSTEM, "/tasks/run", json={"job_id": "job_1"})) == (400, "invalid_value", "seq")


def test_the_caller_s_request_id_comes_back(app: Application) -> None:
    headers = {HEADER: token(app, ANN, PATH), "x-request-id": "mine-1"}
    response = app.request("POST", PATH, None, headers=headers, json=CHAT)
    assert response.headers["x-request-id"] == "mine-1"
    assert problem(response)[0] == 501


def test_the_gateway_is_always_told_the_tokens_of_a_stream(tmp_path: Path) -> None:
    """It counts them, and keeps them from callers who did not ask."""
    app = Application(tmp_path, FakeEngine(Running("http://engine", 100)), run_as_internal=True)
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    told = events.encoded({"id": "c", "choices": [choice], "usage": usage})
    app.answers(
        lambda request: FakeResponse.stream(told, sse.LAST) if b"messages" in request.body else FakeResponse.json({})
    )
    streamed = signed(app, ANN, PATH, json=CHAT | {"model": MODEL, "stream": True}).content
    assert [each["usage"]["total_tokens"] for each in events.decoded(streamed) if "usage" in each] == [4]
