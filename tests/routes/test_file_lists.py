"""Lists of files as OpenAI's clients page them: until a page is empty, whatever has_more says."""

from typing import get_args

import pytest
from openai.types import FilePurpose

from functions.routes import files_list
from shared.core.keys import SYSTEM
from shared.web.schemas.files import FileList
from tests.routes.conftest import ACME, Routes, problem
from tests.routes.test_files import FILES, OTHER, ShiftedClock, kept

HOUR_S = 3600


def paged(routes: Routes, query: str = "limit=2") -> list[str]:
    """The ids of all pages; only the first one may be empty."""
    seen: list[str] = []
    after = ""
    while True:
        page = FileList.model_validate(routes.call("GET", f"{FILES}?{query}{after}", ACME).get_json())
        ids = [each.id for each in page.data]
        assert (page.first_id, page.last_id) == ((ids[0], ids[-1]) if ids else (None, None))
        assert ids or not page.has_more
        seen += ids
        if not page.has_more:
            return seen
        after = f"&after={page.last_id}"


def expiring(routes: Routes) -> str:
    return kept(routes, b"", **{"expires_after[anchor]": "created_at", "expires_after[seconds]": str(HOUR_S)})


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_files_that_are_expired_and_not_purged_hide_no_others(routes: Routes, order: str) -> None:
    clock = ShiftedClock(routes)
    ids = []
    for _ in range(3):
        ids.append(kept(routes))
        for _ in range(5):
            expiring(routes)
    clock.ahead_s = HOUR_S + 1
    assert paged(routes, f"limit=2&order={order}") == (ids if order == "asc" else ids[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_client_may_delete_what_it_lists(routes: Routes, order: str) -> None:
    ids = {kept(routes) for _ in range(5)}
    seen, after = [], ""
    while True:
        page = routes.call("GET", f"{FILES}?limit=2&order={order}{after}", ACME).get_json()
        for file in page["data"]:
            seen.append(file["id"])
            assert routes.call("DELETE", f"{FILES}/{file['id']}", ACME).status_code == 200
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert set(seen) == ids
    assert len(seen) == 5
    assert paged(routes) == []


def test_the_place_of_a_deleted_file_is_its_tenants_and_forgotten(routes: Routes) -> None:
    clock = ShiftedClock(routes)
    file_id = kept(routes)
    routes.call("DELETE", f"{FILES}/{file_id}", ACME)
    assert problem(routes.call("GET", f"{FILES}?after={file_id}", OTHER)) == (400, "invalid_request", "after")
    clock.ahead_s = 2 * HOUR_S
    routes.call("POST", "/internal/schedules/files-expire", SYSTEM)
    assert problem(routes.call("GET", f"{FILES}?after={file_id}", ACME)) == (400, "invalid_request", "after")


def test_a_page_holds_ten_thousand_files(routes: Routes) -> None:
    assert files_list.MOST == 10_000
    kept(routes)
    assert len(routes.call("GET", f"{FILES}?limit=10000", ACME).get_json()["data"]) == 1
    assert problem(routes.call("GET", f"{FILES}?limit=10001", ACME))[2] == "limit"


@pytest.mark.parametrize("purpose", get_args(FilePurpose))
def test_a_file_is_for_what_openai_lists(routes: Routes, purpose: str) -> None:
    file_id, other = kept(routes, purpose=purpose), kept(routes, purpose="vision" if purpose == "evals" else "evals")
    assert paged(routes, f"purpose={purpose}") == [file_id]
    assert set(paged(routes)) == {file_id, other}
