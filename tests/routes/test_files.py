"""Files over HTTP: in by a form or by parts, out part by part, to their tenant and to nobody else."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.test import TestResponse

from shared.core.keys import SYSTEM, Caller, Scope, Tier
from shared.web.schemas.files import FileList, FileView, UploadView
from tests.routes.conftest import ACME, Routes, problem

FILES, UPLOADS = "/internal/v1/files", "/internal/v1/uploads"
OTHER = Caller("k-other", "other", Tier.PREMIUM, frozenset({Scope.JOBS}), 1000)
HOUR_S, DAY_S = 3600, 24 * 3600


def sent(routes: Routes, content: bytes = b"{}\n", **fields: str) -> TestResponse:
    return routes.call("POST", FILES, ACME, **form({"file": ("in.jsonl", content)}, {"purpose": "batch"} | fields))


def form(files: dict[str, tuple[str, bytes]], fields: dict[str, str]) -> dict[str, Any]:
    """A multipart body, ready to be sent."""
    request = httpx.Request("POST", "http://routes", data=fields, files=files)
    return {"data": request.read(), "content_type": request.headers["content-type"]}


def kept(routes: Routes, content: bytes = b"{}\n", **fields: str) -> str:
    response = sent(routes, content, **fields)
    assert response.status_code == 200, response.get_json()
    file_id: str = response.get_json()["id"]
    return file_id


def begun(routes: Routes, size: int, **fields: Any) -> str:
    wanted = {"purpose": "batch", "filename": "a.jsonl", "bytes": size, "mime_type": "application/jsonl"} | fields
    response = routes.call("POST", UPLOADS, ACME, json=wanted)
    assert response.status_code == 200, response.get_json()
    UploadView.model_validate(response.get_json())
    upload_id: str = response.get_json()["id"]
    return upload_id


def part(routes: Routes, upload_id: str, content: bytes, caller: Caller = ACME) -> TestResponse:
    return routes.call("POST", f"{UPLOADS}/{upload_id}/parts", caller, **form({"data": ("part", content)}, {}))


def completed(routes: Routes, upload_id: str, part_ids: list[str], **fields: str) -> TestResponse:
    return routes.call("POST", f"{UPLOADS}/{upload_id}/complete", ACME, json={"part_ids": part_ids} | fields)


@pytest.mark.parametrize("size", [0, 3, 3_000_000])
def test_a_file_comes_back_as_it_was_sent(routes: Routes, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    file_id = kept(routes, content)
    view = routes.call("GET", f"{FILES}/{file_id}", ACME).get_json()
    FileView.model_validate(view)
    assert (view["bytes"], view["filename"], view["purpose"], view["status"]) == (
        size, "in.jsonl", "batch", "processed"
    )  # fmt: skip
    assert view["expires_at"] - view["created_at"] == 30 * DAY_S
    answer = routes.call("GET", f"{FILES}/{file_id}/content", ACME)
    assert answer.data == content
    assert answer.headers["content-length"] == str(size)


def test_its_owner_may_want_it_deleted_sooner(routes: Routes) -> None:
    terms = {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(HOUR_S)}
    view = sent(routes, b"", **terms).get_json()
    assert view["expires_at"] - view["created_at"] == HOUR_S


def test_a_deleted_file_is_gone_with_its_content(routes: Routes) -> None:
    file_id = kept(routes)
    assert routes.call("DELETE", f"{FILES}/{file_id}", ACME).get_json() == {
        "id": file_id, "object": "file", "deleted": True
    }  # fmt: skip
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        response = routes.call(method, f"{FILES}/{file_id}{path}", ACME)
        assert problem(response) == (404, "file_not_found", None)
    assert routes.ports.blobs.list("files") == []


def test_another_tenants_file_is_not_there(routes: Routes) -> None:
    file_id = kept(routes)
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        response = routes.call(method, f"{FILES}/{file_id}{path}", OTHER)
        assert problem(response) == (404, "file_not_found", None)
    assert routes.call("GET", FILES, OTHER).get_json()["data"] == []
    assert problem(routes.call("GET", f"{FILES}?after={file_id}", OTHER)) == (400, "invalid_request", "after")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_is_paged_by_the_last_id(routes: Routes, order: str) -> None:
    ids = [kept(routes) for _ in range(5)]
    seen: list[str] = []
    query = f"?limit=2&order={order}&purpose=batch"
    while True:
        page = routes.call("GET", FILES + query, ACME).get_json()
        FileList.model_validate(page)
        seen += [file["id"] for file in page["data"]]
        if not page["has_more"]:
            break
        query = f"?limit=2&order={order}&after={page['last_id']}"
    assert seen == (ids if order == "asc" else ids[::-1])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "fun"}, "purpose"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}, "expires_after.seconds"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "many"}, "expires_after.seconds"),
        ({"expires_after[seconds]": "7200"}, "expires_after.anchor"),
        ({"expires_after": "never"}, "expires_after"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_400_names_the_field_of_the_form(routes: Routes, fields: dict[str, str], param: str) -> None:
    assert problem(sent(routes, b"", **fields)) == (400, "invalid_value", param)


def test_400_without_a_file_or_a_form(routes: Routes) -> None:
    response = routes.call("POST", FILES, ACME, **form({"data": ("a", b"")}, {"purpose": "batch"}))
    assert problem(response) == (400, "missing_field", "file")
    assert problem(routes.call("POST", FILES, ACME, json={"purpose": "batch"})) == (400, "invalid_content_type", None)
    broken = routes.call("POST", FILES, ACME, data=b"--x\r\n\x00", content_type="multipart/form-data; boundary=x")
    assert problem(broken)[0] == 400


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("order=up", "order"), ("purpose=x", "purpose"), ("after=file-x", "after"), ("a=1", "a")],
)
def test_400_names_the_field_of_the_query(routes: Routes, query: str, param: str) -> None:
    status, _, named = problem(routes.call("GET", f"{FILES}?{query}", ACME))
    assert (status, named) == (400, param)


def test_413_for_a_form_over_its_routes_limit(routes: Routes) -> None:
    announced = {"CONTENT_LENGTH": "999999999", "CONTENT_TYPE": "multipart/form-data; boundary=x"}
    response = routes.call("POST", FILES, ACME, environ_overrides=announced)
    assert problem(response) == (413, "payload_too_large", None)


def test_parts_make_a_file_in_the_order_given(routes: Routes) -> None:
    upload_id = begun(routes, 9)
    last = part(routes, upload_id, b"cccc").get_json()["id"]
    first = part(routes, upload_id, b"aaaaa").get_json()["id"]
    view = completed(
        routes, upload_id, [first, last], md5=hashlib.md5(b"aaaaacccc", usedforsecurity=False).hexdigest()
    ).get_json()
    UploadView.model_validate(view)
    assert view["status"] == "completed"
    assert routes.call("GET", f"{FILES}/{view['file']['id']}/content", ACME).data == b"aaaaacccc"
    assert completed(routes, upload_id, [first, last]).get_json()["file"]["id"] == view["file"]["id"]
    assert routes.ports.blobs.list("uploads") == []


def test_400_for_parts_that_do_not_make_the_file(routes: Routes) -> None:
    upload_id = begun(routes, 6)
    one, two = (part(routes, upload_id, b"abc").get_json()["id"] for _ in range(2))
    assert problem(completed(routes, upload_id, [one])) == (400, "size_mismatch", "part_ids")
    assert problem(completed(routes, upload_id, [one, one])) == (400, "invalid_value", "part_ids")
    assert problem(completed(routes, upload_id, [one, "part_x"])) == (400, "part_not_found", "part_ids")
    assert problem(completed(routes, upload_id, [one, two], md5="0" * 32)) == (400, "md5_mismatch", "md5")
    assert routes.call("GET", FILES, ACME).get_json()["data"] == []
    assert completed(routes, upload_id, [one, two]).status_code == 200


def test_a_part_whose_answer_was_lost_is_sent_again(routes: Routes) -> None:
    upload_id = begun(routes, 6)
    first = part(routes, upload_id, b"abc").get_json()["id"]
    part(routes, upload_id, b"def")
    again = part(routes, upload_id, b"def").get_json()["id"]
    file = completed(routes, upload_id, [first, again]).get_json()["file"]
    assert routes.call("GET", f"{FILES}/{file['id']}/content", ACME).data == b"abcdef"


def test_409_for_parts_that_come_to_many_times_the_file(routes: Routes) -> None:
    upload_id = begun(routes, 4)
    assert [part(routes, upload_id, b"abcd").status_code for _ in range(5)] == [200, 200, 200, 200, 409]


def test_413_for_parts_beyond_what_was_announced(routes: Routes) -> None:
    upload_id = begun(routes, 4)
    assert problem(part(routes, upload_id, b"abcde")) == (413, "payload_too_large", "data")
    assert part(routes, upload_id, b"abcd").status_code == 200


def test_a_cancelled_upload_takes_nothing_more(routes: Routes) -> None:
    upload_id = begun(routes, 4)
    part(routes, upload_id, b"abcd")
    for _ in range(2):
        view = routes.call("POST", f"{UPLOADS}/{upload_id}/cancel", ACME).get_json()
        assert view["status"] == "cancelled"
    assert problem(part(routes, upload_id, b"a")) == (409, "upload_not_pending", None)
    assert problem(completed(routes, upload_id, ["part_x"])) == (409, "upload_not_pending", None)
    assert routes.ports.blobs.list("uploads") == []


def test_another_tenants_upload_is_not_there(routes: Routes) -> None:
    upload_id = begun(routes, 4)
    assert problem(part(routes, upload_id, b"abcd", OTHER)) == (404, "upload_not_found", None)
    for verb, body in (("complete", {"part_ids": ["x"]}), ("cancel", {})):
        response = routes.call("POST", f"{UPLOADS}/{upload_id}/{verb}", OTHER, json=body)
        assert problem(response) == (404, "upload_not_found", None)


def test_the_schedule_deletes_what_is_over(routes: Routes) -> None:
    clock = ShiftedClock(routes)
    file_id, upload_id = kept(routes), begun(routes, 4)
    part(routes, upload_id, b"ab")
    clock.ahead_s = 2 * HOUR_S
    assert expired(routes) == {"examined": 1, "changed": 1, "failed": 0, "complete": True}
    assert routes.ports.blobs.list("uploads") == []
    assert routes.call("GET", f"{FILES}/{file_id}", ACME).status_code == 200
    clock.ahead_s = 31 * DAY_S
    assert problem(routes.call("GET", f"{FILES}/{file_id}", ACME)) == (404, "file_not_found", None)
    assert expired(routes)["changed"] == 1
    assert routes.ports.blobs.list("") == []


class ShiftedClock:
    """The routes' clock, which the test sets ahead."""

    def __init__(self, routes: Routes) -> None:
        self.ahead_s = 0.0
        real = routes.ports.clock.now
        routes.ports.clock.now = lambda: real() + self.ahead_s  # type: ignore[method-assign]


def expired(routes: Routes) -> dict[str, Any]:
    report: dict[str, Any] = routes.call("POST", "/internal/schedules/files-expire", SYSTEM).get_json()
    return report


def test_413_for_a_file_or_a_batch_of_a_tenant_whose_storage_is_full(tmp_path: Path) -> None:
    routes = Routes(tmp_path, internal=True, tenant_storage_bytes=10)
    file_id = kept(routes, b"{}\n" * 3)
    assert problem(sent(routes))[:2] == (413, "storage_quota_exceeded")
    wanted = {"purpose": "batch", "filename": "a.jsonl", "bytes": 2, "mime_type": "application/jsonl"}
    assert problem(routes.call("POST", UPLOADS, ACME, json=wanted))[:2] == (413, "storage_quota_exceeded")
    usage = routes.call("GET", "/internal/api/v1/usage", ACME).get_json()
    assert usage["storage"] == {"bytes": 9, "limit_bytes": 10}
    kept(routes, b"\n")
    batch = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    assert problem(routes.call("POST", "/internal/v1/batches", ACME, json=batch))[:2] == (413, "storage_quota_exceeded")
    assert routes.call("DELETE", f"{FILES}/{file_id}", ACME).status_code == 200
    kept(routes)
