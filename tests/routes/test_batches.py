"""Batches over HTTP: what is refused at once, and how a batch looks to its owner and to nobody else."""

from typing import Any

import pytest

from shared.core.keys import SYSTEM
from shared.web.schemas.batches import BatchList, BatchView
from tests.routes.conftest import ACME, Routes, problem
from tests.routes.test_files import FILES, OTHER, kept

BATCHES = "/internal/v1/batches"
CHAT = "/v1/chat/completions"


def created(routes: Routes, **changes: Any) -> dict[str, Any]:
    wanted = {"input_file_id": kept(routes), "endpoint": CHAT, "completion_window": "24h"} | changes
    response = routes.call("POST", BATCHES, ACME, json=wanted)
    assert response.status_code == 200, response.get_json()
    view: dict[str, Any] = response.get_json()
    BatchView.model_validate(view)
    return view


def test_200_shows_the_batch_before_anybody_has_read_its_file(routes: Routes) -> None:
    view = created(routes, metadata={"order": "42"})
    assert (view["status"], view["metadata"], view["errors"]) == ("validating", {"order": "42"}, None)
    assert view["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert view["expires_at"] - view["created_at"] == 24 * 3600
    assert routes.call("GET", f"{BATCHES}/{view['id']}", ACME).get_json() == view


def test_200_a_list_is_paged_by_the_last_id(routes: Routes) -> None:
    ids = [created(routes)["id"] for _ in range(3)]
    first = routes.call("GET", f"{BATCHES}?limit=2", ACME).get_json()
    BatchList.model_validate(first)
    second = routes.call("GET", f"{BATCHES}?limit=2&after={first['last_id']}", ACME).get_json()
    assert [each["id"] for each in first["data"] + second["data"]] == ids[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_200_cancel_may_be_repeated(routes: Routes) -> None:
    batch_id = created(routes)["id"]
    for _ in range(2):
        view = routes.call("POST", f"{BATCHES}/{batch_id}/cancel", ACME).get_json()
        assert view["status"] == "cancelling"
        assert view["cancelling_at"] is not None


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/nothing"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": 5}}, "metadata.a"),
        ({"input_file_id": ""}, "input_file_id"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_400_names_the_field(routes: Routes, changes: dict[str, Any], param: str) -> None:
    wanted = {"input_file_id": kept(routes), "endpoint": CHAT, "completion_window": "24h"} | changes
    status, _, named = problem(routes.call("POST", BATCHES, ACME, json=wanted))
    assert (status, named) == (400, param)


@pytest.mark.parametrize(("query", "param"), [("limit=0", "limit"), ("after=batch_x", "after"), ("state=x", "state")])
def test_400_names_the_field_of_the_query(routes: Routes, query: str, param: str) -> None:
    status, _, named = problem(routes.call("GET", f"{BATCHES}?{query}", ACME))
    assert (status, named) == (400, param)


def test_404_for_a_file_that_is_not_the_tenants(routes: Routes) -> None:
    wanted = {"input_file_id": kept(routes), "endpoint": CHAT, "completion_window": "24h"}
    assert problem(routes.call("POST", BATCHES, OTHER, json=wanted)) == (404, "file_not_found", "input_file_id")


def test_404_for_a_batch_that_is_not_the_tenants(routes: Routes) -> None:
    batch_id = created(routes)["id"]
    for method, path in (("GET", batch_id), ("POST", f"{batch_id}/cancel"), ("GET", "batch_none"), ("GET", "x")):
        response = routes.call(method, f"{BATCHES}/{path}", OTHER)
        assert problem(response) == (404, "batch_not_found", None)


def test_409_for_a_file_that_a_batch_reads(routes: Routes) -> None:
    view = created(routes)
    file = f"{FILES}/{view['input_file_id']}"
    assert problem(routes.call("DELETE", file, ACME)) == (409, "file_in_use", None)
    assert routes.call("GET", file, ACME).status_code == 200


def test_the_schedule_looks_at_every_open_batch(routes: Routes) -> None:
    created(routes)
    report = routes.call("POST", "/internal/schedules/batches-advance", SYSTEM).get_json()
    assert report == {"examined": 1, "changed": 0, "failed": 0, "complete": True}
