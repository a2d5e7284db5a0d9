"""Behind the gateway only its signature counts; facing the public, keys and limits do."""

import threading
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.core.keys import SYSTEM, Tier
from shared.keys.caller_token import HEADER
from tests.managed_keys import KeyOffice
from tests.routes.conftest import ACME, Routes, problem

BEARER = {"authorization": "Bearer prod-key-acme-1"}


def test_behind_the_gateway_the_signed_caller_is_believed(routes: Routes) -> None:
    assert routes.call("GET", "/internal/v1/models", ACME).status_code == 200


def test_behind_the_gateway_the_plain_path_works_too(routes: Routes) -> None:
    assert routes.call("GET", "/v1/models", ACME).status_code == 200


def test_401_behind_the_gateway_for_a_key_alone(routes: Routes) -> None:
    assert problem(routes.call("GET", "/internal/v1/models", headers=dict(BEARER)))[0] == 401


def test_401_for_a_forged_caller(routes: Routes) -> None:
    assert problem(routes.call("GET", "/internal/v1/models", headers={"x-omni-caller": "e30.e30.e30"}))[0] == 401


def test_facing_the_public_a_key_is_enough_and_is_limited(public_routes: Routes) -> None:
    response = public_routes.call("GET", "/v1/models", headers=dict(BEARER))
    assert response.status_code == 200
    assert response.headers["x-ratelimit-remaining-requests"] == "999"


def test_429_facing_the_public(public_routes: Routes) -> None:
    headers = {"x-api-key": "free-key-ann-1"}
    statuses = [public_routes.call("GET", "/v1/models", headers=dict(headers)).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]


def test_facing_the_public_an_error_too_tells_where_the_caller_stands(public_routes: Routes) -> None:
    response = public_routes.call("GET", "/v1/models/nothing", headers=dict(BEARER))
    assert problem(response)[0] == 404
    assert response.headers["x-ratelimit-remaining-requests"] == "999"
    for _ in range(11):
        refused = public_routes.call("GET", "/v1/models", headers={"x-api-key": "free-key-ann-1"})
    assert problem(refused)[0] == 429
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(refused.headers.getlist("retry-after")) == 1


def test_431_for_a_large_head(public_routes: Routes) -> None:
    headers = BEARER | {"x-large": "a" * public_routes.settings.max_header_bytes}
    assert problem(public_routes.call("GET", "/v1/models", headers=headers))[0] == 431


def test_facing_the_public_usage_is_tracked_and_behind_the_gateway_it_is_not(
    public_routes: Routes, routes: Routes
) -> None:
    def tracked() -> float:
        labels = {"tenant": "acme", "model": "", "route": "models_list"}
        return REGISTRY.get_sample_value("omni_tenant_requests_total", labels) or 0

    before = tracked()
    public_routes.call("GET", "/v1/models", headers=dict(BEARER))
    routes.call("GET", "/v1/models", ACME)
    assert tracked() == before + 1


def test_who_waits_for_the_limiter_keeps_nobody_else_waiting(
    public_routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert public_routes.call("GET", "/v1/models", headers=dict(BEARER)).status_code == 200
    asked, answers = threading.Event(), threading.Event()
    exchange = public_routes.ports.limiter.exchange

    def slow_exchange(*given: Any) -> Any:
        asked.set()
        assert answers.wait(20)
        return exchange(*given)

    monkeypatch.setattr(public_routes.ports.limiter, "exchange", slow_exchange)
    statuses: list[int] = []

    def call() -> None:
        statuses.append(public_routes.call("GET", "/v1/models", headers={"x-api-key": "free-key-ann-1"}).status_code)

    waiting = threading.Thread(target=call)
    waiting.start()
    assert asked.wait(20)
    try:
        assert public_routes.call("GET", "/v1/models", headers={"x-api-key": "master-key-root-1"}).status_code == 200
    finally:
        answers.set()
        waiting.join()
    assert statuses == [200]


def test_429_facing_the_public_after_too_many_guesses_but_not_for_a_valid_key(public_routes: Routes) -> None:
    statuses = [public_routes.call("GET", "/v1/models", headers={"x-api-key": "guess"}).status_code for _ in range(61)]
    assert statuses == [401] * 60 + [429]
    assert public_routes.call("GET", "/v1/models", headers=dict(BEARER)).status_code == 200


def test_403_facing_the_public_from_a_network_that_the_key_may_not_come_from(public_routes: Routes) -> None:
    for networks, status in ((("127.0.0.0/8",), 200), (("203.0.113.0/24",), 403)):
        _, key = KeyOffice(public_routes.ports.store, seed=status).new(ips=networks)
        assert public_routes.call("GET", "/v1/models", headers={"x-api-key": key}).status_code == status
    forged = {"x-api-key": key, "x-forwarded-for": "203.0.113.7"}
    assert public_routes.call("GET", "/v1/models", headers=forged).status_code == 403


def test_429_facing_the_public_after_too_many_requests_from_there(public_routes: Routes) -> None:
    _, key = KeyOffice(public_routes.ports.store).new(ips=("203.0.113.0/24",), tier=Tier.FREE)
    statuses = [public_routes.call("GET", "/v1/models", headers={"x-api-key": key}).status_code for _ in range(11)]
    assert statuses == [403] * 10 + [429]


def test_facing_the_public_metrics_need_an_admin_key(public_routes: Routes) -> None:
    assert problem(public_routes.call("GET", "/metrics"))[0] == 401
    assert problem(public_routes.call("GET", "/metrics", headers=dict(BEARER)))[0] == 403
    admin = {"authorization": "Bearer master-key-root-1"}
    assert public_routes.call("GET", "/metrics", headers=admin).status_code == 200


def test_413_facing_the_public_without_a_declared_length(public_routes: Routes) -> None:
    too_large = b"x" * (public_routes.settings.max_body_bytes + 1)
    response = public_routes.call("POST", "/api/v1/jobs", headers=dict(BEARER), data=too_large)
    assert problem(response)[:2] == (413, "payload_too_large")


def test_404_facing_the_public_for_internal_paths(public_routes: Routes) -> None:
    assert problem(public_routes.call("GET", "/internal/v1/models", headers=dict(BEARER)))[0] == 404


def test_401_for_a_schedule_called_by_a_key_or_by_a_signed_caller(public_routes: Routes, routes: Routes) -> None:
    """Schedules are the platform's: even a caller that the gateway signed as the system is not enough."""
    headers = {"authorization": "Bearer master-key-root-1"}
    assert problem(public_routes.call("POST", "/schedules/jobs-sweep", headers=headers))[0] == 401
    for path in ("/internal/schedules/jobs-sweep", "/internal/tasks/webhooks"):
        signed = {HEADER: routes.signed("POST", path, SYSTEM)}
        assert problem(routes.call("POST", path, headers=signed))[0] == 401


def test_the_system_may_run_schedules(routes: Routes) -> None:
    assert routes.call("POST", "/internal/schedules/jobs-sweep", SYSTEM).status_code == 200


def test_405_and_404_in_the_one_shape(routes: Routes) -> None:
    assert problem(routes.call("PUT", "/internal/v1/models", ACME))[:2] == (405, "method_not_allowed")
    assert problem(routes.call("GET", "/internal/v1/nothing", ACME))[:2] == (404, "not_found")


def test_a_request_id_is_kept(routes: Routes) -> None:
    response = routes.call("GET", "/internal/v1/models", ACME, headers={"x-request-id": "abc"})
    assert response.headers["x-request-id"] == "abc"


def test_health_and_readiness_need_nobody(routes: Routes) -> None:
    assert routes.call("GET", "/api/health").status_code == 200
    assert routes.call("GET", "/ready").get_json()["services"] == {"store": "ok", "queue": "ok", "secrets": "ok"}
