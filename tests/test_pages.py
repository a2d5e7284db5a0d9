"""A page of a list is full unless it is the last one, whatever is left out of it."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.sqlite_store import SqliteStore
from shared.pages import listed
from shared.ports.store import Query, Transaction
from tests.fakes import FakeClock


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    found = SqliteStore(tmp_path / "store.db", FakeClock())
    for number in range(60):
        document = {"id": f"k{number:02}", "created_at": float(number // 3), "tenant": "acme"}
        found.transact(partial(_put, document))
    return found


def _put(document: dict[str, Any], transaction: Transaction) -> None:
    transaction.put("keys", document["id"], document)


def none(_: dict[str, Any]) -> str | None:
    return None


def every_tenth(document: dict[str, Any]) -> str | None:
    return document["id"] if document["id"].endswith("7") else None


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 100])
def test_pages_are_full_but_for_the_last(store: SqliteStore, limit: int) -> None:
    sizes, found, cursor = [], [], ""
    while True:
        page = listed(store, Query("keys", cursor=cursor), limit, every_tenth)
        sizes.append(len(page.items))
        found += page.items
        if not page.has_more:
            break
        cursor = page.next_cursor
    assert found == ["k07", "k17", "k27", "k37", "k47", "k57"]
    assert sizes[:-1] == [limit] * (len(sizes) - 1)
    assert sizes[-1] > 0


def test_a_page_of_nothing_is_the_last(store: SqliteStore) -> None:
    page = listed(store, Query("keys"), 2, none)
    assert (page.items, page.has_more) == ([], False)
