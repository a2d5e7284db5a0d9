"""What every store promises."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Barrier, Thread
from typing import Any

import pytest

from shared.core.errors import InvalidRequest, PayloadTooLarge
from shared.ports.store import MOST_BYTES, AlreadyExists, Document, Operator, Query, Store, Transaction
from tests.fakes import FakeClock


def put(store: Store, key: str, collection: str = "jobs", **document: Any) -> None:
    store.transact(lambda transaction: transaction.put(collection, key, {"id": key, **document}))


def all_pages(store: Store, query: Query) -> list[list[str]]:
    """The ids of every page, read with the cursors."""
    pages, cursor = [], ""
    while True:
        page = store.query(Query(query.collection, query.where, query.order_by, query.descending, query.limit, cursor))
        pages.append([document["id"] for document in page.documents])
        if not page.next_cursor:
            return pages
        cursor = page.next_cursor


def test_a_document_comes_back_as_it_was_written(store: Store) -> None:
    document: Document = {
        "text": "naïve \u0000 \U0001f600",
        "number": -7,
        "large": 2**53,
        "time_at": 1_800_000_000.123456,
        "yes": True,
        "nothing": None,
        "list": [1, [2.5, {}]],
        "object": {"with 'quotes'": {'and "those"': ""}, "__reserved__": {"": 0}, "a.b": 1.0},
        "beyond 64 bits": 2**63,
        "deep": json.loads("[" * 50 + "]" * 50),
    }
    put(store, "a", **document)
    assert store.get("jobs", "a") == {"id": "a"} | document


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.get("jobs", "nobody") is None


def test_put_replaces_the_whole_document(store: Store) -> None:
    put(store, "a", old=1)
    put(store, "a", new=2)
    assert store.get("jobs", "a") == {"id": "a", "new": 2}


def test_delete_removes_and_may_be_repeated(store: Store) -> None:
    put(store, "a")
    for _ in range(2):
        store.transact(lambda transaction: transaction.delete("jobs", "a"))
    assert store.get("jobs", "a") is None


def test_collections_are_apart(store: Store) -> None:
    put(store, "same", "jobs", what="job")
    put(store, "same", "keys", what="key")
    assert (store.get("jobs", "same") or {})["what"] == "job"


def test_create_refuses_a_taken_key(store: Store) -> None:
    put(store, "a", first=True)
    with pytest.raises(AlreadyExists):
        store.transact(lambda transaction: transaction.create("jobs", "a", {"id": "a"}))
    assert (store.get("jobs", "a") or {})["first"]


def test_a_transaction_that_fails_writes_nothing(store: Store) -> None:
    def work(transaction: Transaction) -> None:
        transaction.put("jobs", "a", {"id": "a"})
        transaction.put("keys", "b", {"id": "b"})
        raise LookupError

    with pytest.raises(LookupError):
        store.transact(work)
    assert store.get("jobs", "a") is None
    assert store.get("keys", "b") is None


def test_documents_are_counted_up_to_the_limit(store: Store) -> None:
    for n in range(5):
        put(store, f"a{n}", tenant="acme", created_at=float(n))
    put(store, "b", tenant="other", created_at=1.0)
    put(store, "c", tenant="acme", created_at=None)
    acme = Query("jobs", (("tenant", "==", "acme"),))
    assert store.count(acme) == 5
    assert store.count(Query("jobs", (("tenant", "==", "acme"), ("created_at", ">", 2.0)))) == 2
    assert store.count(replace(acme, limit=3)) == 3
    assert store.count(Query("jobs", (("tenant", "==", "nobody"),))) == 0


def test_a_count_needs_an_index_too(store: Store) -> None:
    with pytest.raises(ValueError, match="no index"):
        store.count(Query("jobs", (("metadata", "==", "x"),)))


def test_a_transaction_gives_back_what_the_work_returns(store: Store) -> None:
    assert store.transact(lambda transaction: transaction.get("jobs", "nobody")) is None
    assert store.transact(lambda _: 42) == 42


def test_reads_come_before_writes(store: Store) -> None:
    def work(transaction: Transaction) -> None:
        transaction.put("jobs", "a", {"id": "a"})
        transaction.get("jobs", "a")

    with pytest.raises(RuntimeError):
        store.transact(work)
    assert store.get("jobs", "a") is None


def test_a_transaction_tells_the_stores_time(store: Store, clock: FakeClock) -> None:
    first = store.transact(lambda transaction: transaction.now)
    clock.advance(1)
    time.sleep(1)  # for the stores whose clock is their own
    assert 1 <= store.transact(lambda transaction: transaction.now) - first < 60


def test_parallel_transactions_on_one_document_do_not_lose_an_update(store: Store) -> None:
    put(store, "counter", value=0)
    start = Barrier(4)

    def count() -> None:
        start.wait()
        for _ in range(50):
            store.transact(_increment)

    run_together(*[count] * 4)
    assert (store.get("jobs", "counter") or {})["value"] == 200


def test_what_a_transaction_has_only_read_stays_true_until_it_commits(store: Store) -> None:
    """Two that each read both documents and write one: the second must see what the first wrote."""
    put(store, "left", here=True)
    put(store, "right", here=True)
    start = Barrier(2)

    def leave(side: str) -> Callable[[], None]:
        def work(transaction: Transaction) -> None:
            both = [transaction.get("jobs", each) or {} for each in ("left", "right")]
            if all(each["here"] for each in both):
                transaction.put("jobs", side, {"id": side, "here": False})

        def run() -> None:
            start.wait()
            store.transact(work)

        return run

    run_together(leave("left"), leave("right"))
    assert [(store.get("jobs", side) or {})["here"] for side in ("left", "right")].count(True) == 1


def test_a_transaction_sees_one_moment(store: Store) -> None:
    """A transfer between the two reads is seen by both or by none."""
    put(store, "left", amount=100)
    put(store, "right", amount=0)

    def transfer(transaction: Transaction) -> None:
        left, right = (transaction.get("jobs", side) or {} for side in ("left", "right"))
        transaction.put("jobs", "left", left | {"amount": left["amount"] - 10})
        transaction.put("jobs", "right", right | {"amount": right["amount"] + 10})

    def total(transaction: Transaction) -> int:
        return sum((transaction.get("jobs", side) or {})["amount"] for side in ("left", "right"))

    seen: list[int] = []

    def look() -> None:
        seen.extend(store.transact(total) for _ in range(10))

    run_together(lambda: [store.transact(transfer) for _ in range(10)], look)
    assert set(seen) == {100}


def test_a_document_may_be_deleted_and_made_again(store: Store) -> None:
    for round_ in range(3):
        store.transact(lambda transaction, n=round_: transaction.create("jobs", "a", {"id": "a", "n": n}))  # type: ignore[misc]
        assert (store.get("jobs", "a") or {})["n"] == round_
        store.transact(lambda transaction: transaction.delete("jobs", "a"))


def test_a_document_just_small_enough_is_stored_and_a_larger_one_refused(store: Store) -> None:
    room = MOST_BYTES - len(
        json.dumps({"id": "a", "tenant": "acme", "created_at": 1.5, "x": ""}, separators=(",", ":"))
    )
    put(store, "a", tenant="acme", created_at=1.5, x="x" * room)
    with pytest.raises(PayloadTooLarge):
        put(store, "a", tenant="acme", created_at=1.5, x="x" * (room + 1))
    assert len((store.get("jobs", "a") or {})["x"]) == room


def test_only_one_of_many_creates_succeeds(store: Store) -> None:
    won: list[int] = []
    start = Barrier(8)

    def create() -> None:
        start.wait()
        try:
            store.transact(lambda transaction: transaction.create("jobs", "a", {"id": "a"}))
        except AlreadyExists:
            return
        won.append(1)

    run_together(*[create] * 8)
    assert len(won) == 1


Where = tuple[tuple[str, Operator, Any], ...]
OPERATORS: dict[Operator, str] = {"<": "01", "<=": "012", ">": "34", ">=": "234"}


@pytest.mark.parametrize("descending", [False, True])
def test_a_query_gives_what_matches_in_order(store: Store, *, descending: bool) -> None:
    for n in (3, 1, 2):
        put(store, f"a{n}", tenant="acme", created_at=float(n))
    put(store, "b", tenant="other", created_at=1.5)
    page = store.query(Query("jobs", (("tenant", "==", "acme"),), descending=descending))
    expected = ["a1", "a2", "a3"]
    assert [document["id"] for document in page.documents] == (expected[::-1] if descending else expected)
    assert page.next_cursor == ""


def test_a_query_compares_by_order(store: Store) -> None:
    for n in range(5):
        put(store, f"j{n}", shard=1, state="running", lease_expires_at=float(n))
    put(store, "later", shard=1, state="running", lease_expires_at=None)
    for operator, expected in OPERATORS.items():
        where: Where = (("shard", "==", 1), ("state", "==", "running"), ("lease_expires_at", operator, 2.0))
        page = store.query(Query("jobs", where, "lease_expires_at"))
        assert "".join(document["id"][1:] for document in page.documents) == expected


def test_a_query_tells_true_from_false(store: Store) -> None:
    put(store, "yes", shard=1, outbox=True, next_run_at=1.0)
    put(store, "no", shard=1, outbox=False, next_run_at=1.0)
    page = store.query(Query("jobs", (("shard", "==", 1), ("outbox", "==", True)), "next_run_at"))
    assert [document["id"] for document in page.documents] == ["yes"]


def test_documents_without_the_ordering_field_are_left_out(store: Store) -> None:
    put(store, "null", tenant="acme", created_at=None)
    put(store, "missing", tenant="acme")
    put(store, "there", tenant="acme", created_at=1.0)
    page = store.query(Query("jobs", (("tenant", "==", "acme"),)))
    assert [document["id"] for document in page.documents] == ["there"]


@pytest.mark.parametrize("descending", [False, True])
def test_pages_hold_every_document_once_also_those_of_equal_order(store: Store, *, descending: bool) -> None:
    for n in range(23):
        put(store, f"j{n:02}", tenant="acme", created_at=1_800_000_000.123456 + n // 10)
    pages = all_pages(store, Query("jobs", (("tenant", "==", "acme"),), descending=descending, limit=5))
    seen = [job for page in pages for job in page]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert len(set(seen)) == 23
    assert seen == sorted(seen, reverse=descending)


def test_a_page_that_is_just_full_is_the_last(store: Store) -> None:
    for n in range(4):
        put(store, f"j{n}", tenant="acme", created_at=float(n))
    pages = all_pages(store, Query("jobs", (("tenant", "==", "acme"),), limit=2))
    assert pages == [["j0", "j1"], ["j2", "j3"]]


def test_pages_go_on_past_a_document_that_was_deleted(store: Store) -> None:
    for n in range(4):
        put(store, f"j{n}", tenant="acme", created_at=float(n))
    query = Query("jobs", (("tenant", "==", "acme"),), limit=2)
    first = store.query(query)
    store.transact(lambda transaction: transaction.delete("jobs", "j1"))
    put(store, "new", tenant="acme", created_at=0.5)
    second = store.query(Query("jobs", query.where, limit=2, cursor=first.next_cursor))
    assert [document["id"] for document in second.documents] == ["j2", "j3"]


def test_an_exact_time_survives_the_cursor(store: Store) -> None:
    """Neighbouring doubles, which a cursor of fewer digits would mix up."""
    times = [1_763_936_944.1234567, 1_763_936_944.1234570, 1_763_936_944.1234572, 1_763_936_944.1234574]
    for n, created_at in enumerate(times):
        put(store, f"j{n}", tenant="acme", created_at=created_at)
    pages = all_pages(store, Query("jobs", (("tenant", "==", "acme"),), limit=1))
    assert pages == [["j0"], ["j1"], ["j2"], ["j3"]]


def test_a_text_that_is_no_cursor_is_refused(store: Store) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        store.query(Query("jobs", (("tenant", "==", "acme"),), cursor="'; DROP TABLE jobs; --"))
    assert refusal.value.param == "after"


@pytest.mark.parametrize(
    "query",
    [
        Query("jobs", (("task", "==", "chat"),)),
        Query("jobs", (("tenant", "==", "acme"),), order_by="finished_at"),
        Query("jobs", (("shard", "==", 1), ("state", "==", "queued"), ("created_at", ">", 1)), "lease_expires_at"),
        Query("jobs", (("lane", "==", "x"),), "rank_at", descending=True),
        Query("idempotency", (("expire_at", "<", 5.0),), "expire_at"),
    ],
)
def test_a_query_without_an_index_is_a_mistake(store: Store, query: Query) -> None:
    with pytest.raises(ValueError, match="no index"):
        store.query(query)


@pytest.mark.parametrize(
    "nasty", ["o'clock \"; -- \\ % _ \n ü 名", "a/b", "a%2Fb", "/", ".", "..", "__name__", "x" * 499, "%"]
)
def test_any_text_is_good_for_a_key_or_a_value(store: Store, nasty: str) -> None:
    put(store, nasty, tenant=nasty, created_at=1.0)
    put(store, nasty + "!", tenant=nasty, created_at=1.0)
    pages = all_pages(store, Query("jobs", (("tenant", "==", nasty),), limit=1))
    assert pages == [[nasty], [nasty + "!"]]
    assert (store.get("jobs", nasty) or {})["tenant"] == nasty


def test_ping_is_silent_while_the_store_is_there(store: Store) -> None:
    store.ping()


def run_together(*works: Callable[[], object]) -> None:
    running = [Thread(target=work) for work in works]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _increment(transaction: Transaction) -> None:
    document: Document = transaction.get("jobs", "counter") or {}
    transaction.put("jobs", "counter", document | {"value": document["value"] + 1})
