"""`Prefer`: an inference request as a job, and waiting for a job's end."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import telemetry
from shared.core.errors import InvalidRequest, NotFound, OmniError, UpstreamFailed, UpstreamTimeout
from shared.core.jobs import Failed, JobError, Outcome, Succeeded
from shared.core.keys import Scope
from shared.money.usage import NOT_SUMMED
from tests.fakes import FakeResponse
from tests.gateway.conftest import CHAT, COMPLETION, problem
from tests.gateway.jobs import JobWorld
from tests.managed_keys import KeyOffice

ASYNC = {"prefer": "respond-async"}
PATH = "/v1/chat/completions"


@pytest.fixture
def world(tmp_path: Path) -> JobWorld:
    return JobWorld(tmp_path)


def ended(world: JobWorld, path: str, prefer: str, outcome: Outcome) -> httpx.Response:
    """The answer to a request whose job ends while it waits."""

    async def run() -> httpx.Response:
        headers = {"prefer": prefer, "authorization": "Bearer prod-key-acme-1"}
        body = CHAT if path == PATH else {"task": "chat_completions", "input": CHAT}
        asking = asyncio.create_task(world.send("POST", path, json=body, headers=headers))
        while not world.made:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.to_thread(world.end, world.made[0], outcome)
        return await asking

    return asyncio.run(run())


def test_202_an_inference_request_becomes_a_job(world: JobWorld) -> None:
    response = world.request("POST", PATH, json=CHAT, headers=ASYNC)
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1/jobs/{response.json()['id']}"
    assert response.headers["preference-applied"] == "respond-async"
    assert response.headers["vary"] == "Prefer"
    assert world.orders == [{"task": "chat_completions", "input": CHAT}]


def test_200_waiting_gives_the_result_as_if_there_were_no_job(world: JobWorld) -> None:
    response = ended(world, PATH, "respond-async, wait=30", Succeeded(COMPLETION))
    assert (response.status_code, response.json()) == (200, COMPLETION)
    assert response.headers["preference-applied"] == "respond-async, wait=30"
    assert response.headers["location"] == f"/api/v1/jobs/{world.made[0].id}"


def test_202_when_the_wait_was_too_short(world: JobWorld) -> None:
    response = world.request("POST", PATH, json=CHAT, headers={"prefer": "respond-async, wait=1"})
    assert (response.status_code, response.json()["state"]) == (202, "queued")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InvalidRequest("Too long.", code="context_length_exceeded", param="messages"), "invalid_request_error"),
        (NotFound("Not here.", code="model_not_found", param="model"), "invalid_request_error"),
        (UpstreamTimeout("Too slow.", code="timeout"), "upstream_error"),
        (UpstreamFailed("Broken."), "upstream_error"),
    ],
)
def test_a_job_that_failed_while_it_was_waited_for_is_answered_as_if_there_were_no_job(
    world: JobWorld, error: OmniError, told: str
) -> None:
    failed = Failed(JobError(error.code, error.message, retryable=False, status=error.status, param=error.param))
    response = ended(world, PATH, "respond-async, wait=30", failed)
    assert problem(response) == (error.status, error.code, error.param)
    assert (response.json()["error"]["type"], response.json()["error"]["message"]) == (told, error.message)


@pytest.mark.parametrize(("cost", "told"), [(0.000056, "0.000056"), (0.0, "0"), (None, None)])
def test_an_answer_that_was_waited_for_tells_its_cost(world: JobWorld, cost: float | None, told: str | None) -> None:
    usage = {"completion_tokens": 5} | ({} if cost is None else {"cost_usd": cost})
    response = ended(world, PATH, "respond-async, wait=30", Succeeded(COMPLETION, usage=usage))
    assert response.headers.get("x-omni-cost-usd") == told


def test_200_a_job_that_was_waited_for_comes_with_its_result(world: JobWorld) -> None:
    response = ended(world, "/api/v1/jobs", "wait=30", Succeeded({"answer": 42}))
    assert response.status_code == 200
    assert (response.json()["state"], response.json()["result"]) == ("succeeded", {"answer": 42})
    assert response.headers["preference-applied"] == "wait=30"


def test_200_a_job_that_failed_while_it_was_waited_for_says_so(world: JobWorld) -> None:
    response = ended(world, "/api/v1/jobs", "wait=30", Failed(JobError("x", "No.", retryable=False)))
    assert (response.status_code, response.json()["state"]) == (200, "failed")


@pytest.mark.parametrize("prefer", ["wait=0", "return=minimal", "wait=x", ""])
def test_202_what_is_not_asked_for_is_not_applied(world: JobWorld, prefer: str) -> None:
    order = {"task": "chat_completions", "input": CHAT}
    response = world.request("POST", "/api/v1/jobs", json=order, headers={"prefer": prefer})
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


def test_200_without_the_preference_nothing_becomes_a_job(world: JobWorld) -> None:
    world.answers(lambda _: FakeResponse.json(COMPLETION))
    for headers in ({}, {"prefer": "wait=30"}):
        response = world.request("POST", PATH, json=CHAT, headers=headers)
        assert (response.status_code, response.headers["vary"]) == (200, "Prefer")
        assert "preference-applied" not in response.headers


def test_an_idempotency_key_makes_one_job_and_gives_its_answer_again(world: JobWorld) -> None:
    headers = ASYNC | {"idempotency-key": "k1"}
    first, again = (world.request("POST", PATH, json=CHAT, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(world.made) == 1


@pytest.mark.parametrize(
    ("refusal", "param", "message"),
    [
        ({"param": "input.stream", "message": "A job's answer is kept.", "code": "invalid_value"}, "stream", ""),
        ({"param": "input.messages.0", "message": "'input.messages.0' is wrong.", "code": "x"}, "messages.0",
         "'messages.0'"),
        ({"param": "model", "message": "Not for jobs.", "code": "model_not_for_jobs"}, "model", ""),
    ],
)  # fmt: skip
def test_400_names_the_field_as_the_caller_wrote_it(
    world: JobWorld, refusal: dict[str, Any], param: str, message: str
) -> None:
    world.answers(lambda _: FakeResponse.json({"error": refusal | {"type": "invalid_request_error"}}, 400))
    response = world.request("POST", PATH, json=CHAT, headers=ASYNC)
    assert problem(response) == (400, refusal["code"], param)
    assert message in response.json()["error"]["message"]


def test_a_model_that_is_none_gets_no_metrics_of_its_own(world: JobWorld) -> None:
    world.answers(lambda _: FakeResponse.json({"error": {"message": "None.", "type": "x", "code": "x"}}, 404))
    assert world.request("POST", PATH, json=CHAT | {"model": "made-up"}, headers=ASYNC).status_code == 404
    assert "made-up" not in telemetry.exposition()[0].decode()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": 5}', b"\xff", b'{"model":"small"}}, "task": "x"'])
def test_400_for_a_body_that_is_none(world: JobWorld, content: bytes) -> None:
    response = world.request("POST", PATH, content=content, headers=ASYNC)
    assert problem(response)[0] == 400
    assert world.made == []


def test_403_for_a_key_that_may_not_make_jobs(world: JobWorld) -> None:
    _, key = KeyOffice(world.counting).new(scopes=frozenset({Scope.INFERENCE}))
    assert problem(world.request("POST", PATH, key, json=CHAT, headers=ASYNC))[0] == 403
    assert world.made == []


def test_the_row_of_a_request_that_became_a_job_is_the_job_s(world: JobWorld) -> None:
    headers = {"authorization": "Bearer prod-key-acme-1"}

    async def run() -> list[Any]:
        await world.send("POST", PATH, json=CHAT, headers=headers | ASYNC)
        world.answers(lambda _: FakeResponse.json(COMPLETION))
        await world.send("POST", PATH, json=CHAT, headers=headers)
        async with asyncio.timeout(30):
            while not (found := world.counting.query(NOT_SUMMED).documents):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return [row for document in found for row in json.loads(document["rows"])]

    assert len(asyncio.run(run())) == 1
