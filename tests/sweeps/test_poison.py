"""No document keeps a schedule from the others, and one that fails again and again is set aside with an alert."""

import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.core.errors import Unavailable
from tests.routes.conftest import ACME, ADMIN, problem
from tests.sweeps.conftest import MET, PAST, POISONS, Schedules

QUARANTINE = "/internal/api/v1/quarantine"
ROUNDS = 5
ALERT = "document is set aside"


def good(schedules: Schedules, schedule: str) -> None:
    """One document that the schedule has something to do for; it is met last."""
    job = {"task": "chat_completions", "model": "smollm2-135m-instruct", "input": {"messages": [USER]}}
    if schedule in {"jobs-reap", "jobs-sweep"}:
        made = schedules.call("POST", "/internal/api/v1/jobs", ACME, json=job).get_json()["id"]
        document = schedules.ports.store.get("jobs", made)
        assert document is not None
        running = {"state": "running", "substate": None, "epoch": 1, "attempt": 1}
        changes = running | {"lease_expires_at": PAST + 1} if schedule == "jobs-reap" else {"next_run_at": PAST + 1}
        schedules.plant("jobs", made, document | changes | {"shard": 3})
    elif schedule == "webhooks-sweep":
        schedules.plant("webhooks", "msg_good", DELIVERY)
    elif schedule == "batches-advance":
        schedules.plant("batches", "batch_good", BATCH)
    elif schedule == "usage-rollup":
        schedules.plant("usage", "good", {"id": "good", "rows": "[]", "is_summed": False, "created_at": PAST + 1})
    else:
        schedules.plant("files", "file-good", FILE)


USER = {"role": "user", "content": "Hi"}
DELIVERY = {
    "id": "msg_good",
    "tenant": "acme",
    "job_id": "job_1",
    "event": "job.failed",
    "url": "https://example.org/",
    "payload": "{}",
    "shard": 3,
    "created_at": PAST,
    "expire_at": 9e9,
    "next_attempt_at": PAST + 1,
}
BATCH = {
    "id": "batch_good",
    "tenant": "acme",
    "key_id": "k",
    "models": None,
    "weight": 1,
    "input_file_id": "file-1",
    "endpoint": "/v1/chat/completions",
    "created_at": PAST + 1,
    "expires_at": 9e9,
    "expire_at": 9e9,
    "status": "in_progress",
}
FILE = {
    "id": "file-good",
    "tenant": "acme",
    "key_id": "k",
    "purpose": "batch",
    "filename": "f",
    "bytes": 0,
    "uri": "",
    "created_at": PAST,
    "purge_at": PAST + 1,
}


@pytest.mark.parametrize("kind", [*POISONS, "unreadable"])
@pytest.mark.parametrize("schedule", MET)
def test_a_document_that_cannot_be_worked_on_is_passed_over(schedules: Schedules, schedule: str, kind: str) -> None:
    collection, found_by = MET[schedule]
    if kind == "unreadable":
        schedules.plant(collection, "bad", {"id": "bad"} | found_by)
        schedules.scribble(collection, "bad")
    else:
        schedules.poison(collection, "bad", found_by, kind)
    good(schedules, schedule)
    report = schedules.round(schedule)
    assert (report["failed"], report["changed"], report["complete"]) == (1, 1, True)


@pytest.mark.parametrize("schedule", MET)
def test_one_that_fails_round_after_round_is_set_aside_with_an_alert_until_it_is_released(
    schedules: Schedules, schedule: str, caplog: pytest.LogCaptureFixture
) -> None:
    collection, found_by = MET[schedule]
    schedules.poison(collection, "bad", found_by, "without its fields")
    with caplog.at_level(logging.ERROR):
        reports = [schedules.round(schedule) for _ in range(ROUNDS + 2)]
    assert [report["failed"] for report in reports] == [1] * ROUNDS + [0, 0]
    assert [report["examined"] for report in reports[ROUNDS:]] == [0, 0]
    assert [record.message for record in caplog.records].count(ALERT) == 1
    (aside,) = schedules.call("GET", QUARANTINE, ADMIN).get_json()["data"]
    assert (aside["collection"], aside["document"], aside["failures"]) == (collection, "bad", ROUNDS)
    assert aside["schedule"] == schedule.replace("-", "_")
    released = schedules.call("POST", f"{QUARANTINE}/{aside['id']}/release", ADMIN)
    assert released.status_code == 200
    assert schedules.call("GET", QUARANTINE, ADMIN).get_json()["data"] == []
    assert schedules.round(schedule)["failed"] == 1


def test_one_that_is_mended_in_time_is_not_set_aside(schedules: Schedules) -> None:
    collection, found_by = MET["usage-rollup"]
    for _ in range(3):
        schedules.poison(collection, "bad", found_by, "of wrong types")
        for _ in range(ROUNDS - 1):
            assert schedules.round("usage-rollup")["failed"] == 1
        schedules.plant(collection, "bad", {"id": "bad", "rows": "[]"} | found_by)
        assert schedules.round("usage-rollup")["changed"] == 1
    assert schedules.call("GET", QUARANTINE, ADMIN).get_json()["data"] == []


def test_what_is_down_sets_nothing_aside(schedules: Schedules, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> bool:
        raise Unavailable("The queue is away.")

    good(schedules, "webhooks-sweep")
    monkeypatch.setattr(schedules.ports.queue, "enqueue", refuse)
    assert [schedules.round("webhooks-sweep")["failed"] for _ in range(ROUNDS + 1)] == [1] * (ROUNDS + 1)


def test_a_flood_of_them_is_noted_in_bounds_and_passed_over(schedules: Schedules) -> None:
    collection, found_by = MET["jobs-reap"]
    for number in range(300):
        schedules.poison(collection, f"bad-{number}", found_by, "without its fields")
    good(schedules, "jobs-reap")
    report = schedules.round("jobs-reap")
    assert (report["examined"], report["failed"], report["changed"]) == (301, 300, 1)


def test_a_mark_that_cannot_be_read_stops_nothing(schedules: Schedules) -> None:
    schedules.plant("quarantine", "m", {"id": "m", "collection": "jobs", "last_at": PAST, "quarantined_at": PAST})
    collection, found_by = MET["jobs-reap"]
    schedules.poison(collection, "bad", found_by, "without its fields")
    assert schedules.round("jobs-reap")["failed"] == 1
    assert schedules.call("GET", QUARANTINE, ADMIN).get_json()["data"] == []


def test_what_is_passed_over_and_set_aside_is_counted(schedules: Schedules) -> None:
    def counted(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"schedule": "batches_advance", "collection": "batches"}) or 0.0

    names = "omni_documents_passed_over_total", "omni_documents_quarantined_total"
    before = [counted(name) for name in names]
    collection, found_by = MET["batches-advance"]
    schedules.poison(collection, "bad", found_by, "without its fields")
    for _ in range(ROUNDS + 1):
        schedules.round("batches-advance")
    assert [counted(name) - was for name, was in zip(names, before, strict=True)] == [ROUNDS, 1]


def test_403_and_404_of_the_quarantine(schedules: Schedules) -> None:
    assert schedules.call("GET", QUARANTINE, ACME).status_code == 403
    assert problem(schedules.call("POST", f"{QUARANTINE}/none/release", ADMIN))[:2] == (404, "not_quarantined")


def test_lists_leave_out_what_cannot_be_read(schedules: Schedules) -> None:
    for collection in ("jobs", "batches", "files", "webhooks", "keys"):
        schedules.plant(collection, "bad", {"id": "bad", "tenant": "acme", "created_at": PAST})
    for path in ("/api/v1/jobs", "/v1/batches", "/v1/files", "/api/v1/webhooks/deliveries"):
        answer = schedules.call("GET", f"/internal{path}", ACME)
        assert (answer.status_code, answer.get_json()["data"]) == (200, []), path
    assert schedules.call("GET", "/internal/api/v1/keys", ADMIN).get_json()["data"] == []
    schedules.plant("usage", "bad", {"id": "bad", "is_summed": False, "created_at": PAST, "rows": "?"})
    assert schedules.call("GET", "/internal/api/v1/usage", ACME).status_code == 200
