"""What passes the gateway, and how it looks on both sides."""

import json

import pytest

from shared.keys.caller_token import WORKER, Call
from tests.caller_keys import caller_in
from tests.fakes import FakeResponse
from tests.gateway.conftest import CHAT, COMPLETION, World


def test_an_answer_passes_through_unchanged(world: World) -> None:
    response = world.chat()
    assert response.status_code == 200
    assert response.json() == COMPLETION


def test_the_workers_request_is_the_callers_bytes(world: World) -> None:
    body = b'{ "model":"small",  "messages":[] , "x":1.50 }'
    world.request("POST", "/v1/chat/completions", content=body)
    (request,) = world.upstream.requests
    assert (request.url, request.body) == ("http://worker/internal/v1/chat/completions", body)


def test_the_worker_learns_who_is_asking(world: World) -> None:
    world.chat()
    signed = dict(world.upstream.requests[0].headers)["x-omni-caller"]
    caller = caller_in(signed, Call(WORKER, "POST", "/v1/chat/completions"), world.clock)
    assert caller is not None
    assert caller.tenant == "acme"


def test_a_function_gets_path_query_and_body(world: World) -> None:
    world.answers(lambda _: FakeResponse.json({"id": "j1"}, 202))
    response = world.request("POST", "/api/v1/jobs?a=1&b=%20", json={"task": "x"})
    (request,) = world.upstream.requests
    assert (response.status_code, response.json()) == (202, {"id": "j1"})
    assert request.url == "http://routes/internal/api/v1/jobs?a=1&b=%20"
    assert json.loads(request.body) == {"task": "x"}


def test_a_path_is_passed_on_as_it_was_asked_for(world: World) -> None:
    world.request("GET", "/v1/models/x%2f..y%2fmetrics%3Fa")
    assert world.upstream.requests[0].url == "http://routes/internal/v1/models/x/..y/metrics%3Fa"


def test_x_api_key_is_as_good_as_a_bearer_token(world: World) -> None:
    headers = {"x-api-key": "prod-key-acme-1"}
    assert world.request("POST", "/v1/chat/completions", None, headers=headers, json=CHAT).status_code == 200


def test_a_well_formed_request_id_is_kept_and_passed_on(world: World) -> None:
    response = world.request("POST", "/v1/chat/completions", json=CHAT, headers={"x-request-id": "abc-1.2_3"})
    assert response.headers["x-request-id"] == "abc-1.2_3"
    assert dict(world.upstream.requests[0].headers)["x-request-id"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["a b\t", "x" * 129, "omni_0umQ1Fl66eM4_q13BHzOgMB3pm7ktZsrplJnpMBa3Lp3u0U7B9u"])
def test_a_malformed_request_id_or_a_key_is_replaced(world: World, given: str) -> None:
    response = world.request("POST", "/v1/chat/completions", json=CHAT, headers={"x-request-id": given})
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("header", [{"x-api-key": "prod-key-acme-1"}, {"authorization": "Bearer prod-key-acme-1"}])
@pytest.mark.parametrize("given", ["prod-key-acme-1", "job-prod-key-acme-1", "prod-key-acme"])
def test_a_request_id_with_the_callers_key_in_it_is_replaced(world: World, given: str, header: dict[str, str]) -> None:
    headers = header | {"x-request-id": given}
    response = world.request("POST", "/v1/chat/completions", None, json=CHAT, headers=headers)
    assert response.status_code == 200
    assert response.headers["x-request-id"].startswith("req_")


def test_platform_headers_from_outside_go_nowhere(world: World) -> None:
    world.request("POST", "/v1/chat/completions", json=CHAT, headers={"x-omni-caller": "forged", "x-omni-x": "1"})
    sent = dict(world.upstream.requests[0].headers)
    assert sent["x-omni-caller"] != "forged"
    assert "x-omni-x" not in sent
    assert "authorization" not in sent


def test_another_upstream_gets_its_own_model_name_and_key(world: World) -> None:
    world.chat(model="elsewhere", temperature=0.5)
    (request,) = world.upstream.requests
    assert request.url == "https://first.example/v1/chat/completions"
    assert json.loads(request.body) == CHAT | {"model": "big-1", "temperature": 0.5}
    assert ("authorization", "Bearer sk-first") in request.headers
    assert "x-omni-caller" not in dict(request.headers)


def test_the_limits_are_told_with_every_answer(world: World) -> None:
    headers = world.chat().headers
    assert headers["x-ratelimit-limit-requests"] == "1000"
    assert headers["x-ratelimit-remaining-requests"] == "999"
    assert '"requests";q=1000;w=60' in headers["ratelimit-policy"].split(", ")
    assert "x-ratelimit-limit-requests" not in world.chat("master-key-root-1").headers


def test_health_needs_no_key(world: World) -> None:
    assert world.request("GET", "/api/health", None).status_code == 200
