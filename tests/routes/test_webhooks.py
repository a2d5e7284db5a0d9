"""Webhooks over HTTP: what a job may ask for, the delivery log, secrets, and what the queue calls."""

from typing import Any

import pytest

from shared.core.jobs import Succeeded
from shared.core.keys import SYSTEM, Caller, Scope, Tier
from shared.web.schemas.jobs import JobView
from shared.web.schemas.schedules import ScheduleReport
from shared.web.schemas.webhooks import (
    NewWebhookSecret,
    WebhookDelivery,
    WebhookDeliveryList,
    WebhookSecretList,
)
from tests.routes.conftest import ACME, Routes, problem
from tests.routes.test_jobs import OTHER, WANTED, claimed, created, jobs

PATH = "/internal/api/v1/webhooks"
URL = "https://8.8.8.8/hook"
INFERENCE_ONLY = Caller("k-i", "acme", Tier.PREMIUM, frozenset({Scope.INFERENCE}), 0)


def secret(routes: Routes, caller: Caller = ACME, **wanted: Any) -> dict[str, Any]:
    response = routes.call("POST", f"{PATH}/secrets", caller, json=wanted)
    assert response.status_code == 201, response.get_json()
    made: dict[str, Any] = response.get_json()
    NewWebhookSecret.model_validate(made)
    return made


def delivery(routes: Routes) -> dict[str, Any]:
    """The delivery of a job that has just ended."""
    job_id = created(routes, webhook={"url": URL})["id"]
    jobs(routes).finish(claimed(routes, job_id), Succeeded({"answer": 42}))
    (found,) = listed(routes, f"?job={job_id}")
    return found


def listed(routes: Routes, query: str = "", caller: Caller = ACME) -> list[dict[str, Any]]:
    answer = routes.call("GET", f"{PATH}/deliveries{query}", caller).get_json()
    WebhookDeliveryList.model_validate(answer)
    found: list[dict[str, Any]] = answer["data"]
    return found


def refused(routes: Routes, webhook: Any) -> tuple[int, str, str | None]:
    return problem(routes.call("POST", "/internal/api/v1/jobs", ACME, json=WANTED | {"webhook": webhook}))


def test_202_a_job_remembers_its_webhook(routes: Routes) -> None:
    secret(routes)
    view = created(routes, webhook={"url": URL, "events": ["job.failed"]})
    JobView.model_validate(view)
    assert view["webhook"] == {"url": URL, "events": ["job.failed"]}
    assert created(routes)["webhook"] is None


@pytest.mark.parametrize(
    "webhook",
    [
        {"url": "http://hook.example/"},
        {"url": "https://127.0.0.1/"},
        {"url": "https://169.254.169.254/latest/meta-data"},
        {"url": "https://[::1]/"},
        {"url": "https://localhost/"},
        {"url": "https://0x7f.1/"},
        {"url": "https://user:pw@hook.example/"},
        {"url": "https://"},
        {"url": "x" * 3000},
        {"url": 5},
        {},
    ],
    ids=str,
)
def test_400_for_an_address_that_may_not_be_called(routes: Routes, webhook: Any) -> None:
    secret(routes)
    status, _, param = refused(routes, webhook)
    assert (status, param) == (400, "webhook.url")


def test_400_for_an_event_that_there_is_not(routes: Routes) -> None:
    assert refused(routes, {"url": URL, "events": ["job.started"]})[2] == "webhook.events.0"
    assert refused(routes, {"url": URL, "events": []})[2] == "webhook.events"


def test_400_without_a_secret_to_sign_with(routes: Routes) -> None:
    assert refused(routes, {"url": URL}) == (400, "no_webhook_secret", "webhook")


def test_201_a_secret_is_shown_once(routes: Routes) -> None:
    made = secret(routes)
    assert made["secret"].startswith("whsec_")
    answer = routes.call("GET", f"{PATH}/secrets", ACME)
    WebhookSecretList.model_validate(answer.get_json())
    assert made["secret"] not in answer.get_data(as_text=True)
    assert [each["id"] for each in answer.get_json()["data"]] == [made["id"]]


def test_201_a_secret_replaces_the_others_when_asked_to(routes: Routes) -> None:
    old, new = secret(routes), secret(routes, expire_others_after_s=60)
    held = {each["id"]: each for each in routes.call("GET", f"{PATH}/secrets", ACME).get_json()["data"]}
    assert held[old["id"]]["expires_at"] is not None
    assert held[new["id"]]["expires_at"] is None


@pytest.mark.parametrize("value", [-1, "60", 10**9, True])
def test_400_for_a_wrong_overlap(routes: Routes, value: Any) -> None:
    answer = routes.call("POST", f"{PATH}/secrets", ACME, json={"expire_others_after_s": value})
    assert problem(answer) == (400, "invalid_value", "expire_others_after_s")


def test_200_and_404_a_secret_is_deleted_by_its_tenant_alone(routes: Routes) -> None:
    made = secret(routes)
    path = f"{PATH}/secrets/{made['id']}"
    assert problem(routes.call("DELETE", path, OTHER))[0] == 404
    assert routes.call("DELETE", path, ACME).get_json()["deleted"] is True
    assert problem(routes.call("DELETE", path, ACME))[0] == 404


def test_409_for_a_sixth_secret(routes: Routes) -> None:
    for _ in range(5):
        secret(routes)
    assert problem(routes.call("POST", f"{PATH}/secrets", ACME, json={}))[0] == 409


def test_200_the_log_tells_of_a_delivery_and_its_attempts(routes: Routes) -> None:
    secret(routes)
    found = delivery(routes)
    assert (found["state"], found["event"], found["attempts"]) == ("pending", "job.succeeded", [])
    whole = routes.call("GET", f"{PATH}/deliveries/{found['id']}", ACME).get_json()
    WebhookDelivery.model_validate(whole)
    assert '"answer":42' in whole["payload"]


def test_200_the_log_is_narrowed_and_paged(routes: Routes) -> None:
    secret(routes)
    made = [delivery(routes)["id"] for _ in range(3)]
    assert [each["id"] for each in listed(routes)] == made[::-1]
    assert len(listed(routes, "?outcome=pending")) == 3
    assert listed(routes, "?outcome=delivered") == []
    assert len(listed(routes, "?limit=2")) == 2
    assert listed(routes, caller=OTHER) == []


@pytest.mark.parametrize("query", ["?outcome=x", "?limit=0", "?after=garbage", "?unknown=1"])
def test_400_for_a_wrong_query(routes: Routes, query: str) -> None:
    assert problem(routes.call("GET", f"{PATH}/deliveries{query}", ACME))[0] == 400


@pytest.mark.parametrize("delivery_id", ["msg_none", "x" * 5000, "%00", "..%2Fx", "\u00e9"])
def test_404_for_what_is_no_delivery(routes: Routes, delivery_id: str) -> None:
    assert problem(routes.call("GET", f"{PATH}/deliveries/{delivery_id}", ACME))[0] == 404
    assert problem(routes.call("POST", f"{PATH}/deliveries/{delivery_id}/redeliver", ACME))[0] == 404


def test_404_for_another_tenants_delivery(routes: Routes) -> None:
    secret(routes)
    found = delivery(routes)
    assert problem(routes.call("GET", f"{PATH}/deliveries/{found['id']}", OTHER))[0] == 404
    assert problem(routes.call("POST", f"{PATH}/deliveries/{found['id']}/redeliver", OTHER))[0] == 404


def test_202_a_redelivery_keeps_the_id(routes: Routes) -> None:
    secret(routes)
    found = delivery(routes)
    answer = routes.call("POST", f"{PATH}/deliveries/{found['id']}/redeliver", ACME)
    assert answer.status_code == 202
    assert answer.get_json()["id"] == found["id"]
    assert answer.headers["location"] == f"/api/v1/webhooks/deliveries/{found['id']}"


def test_403_without_the_scope(routes: Routes) -> None:
    assert problem(routes.call("GET", f"{PATH}/deliveries", INFERENCE_ONLY))[0] == 403
    assert problem(routes.call("POST", "/internal/tasks/webhooks", ACME, json={"id": "msg_1", "seq": 1}))[0] == 401


def test_the_queue_and_the_schedule_are_answered(routes: Routes) -> None:
    answer = routes.call("POST", "/internal/tasks/webhooks", SYSTEM, json={"id": "msg_none", "seq": 1})
    assert (answer.status_code, answer.get_json()) == (200, {})
    assert problem(routes.call("POST", "/internal/tasks/webhooks", SYSTEM, json={"id": 1}))[0] == 400
    report = routes.call("POST", "/internal/schedules/webhooks-sweep", SYSTEM)
    ScheduleReport.model_validate(report.get_json())
