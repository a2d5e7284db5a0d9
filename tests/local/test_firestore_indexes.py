"""What Terraform tells Firestore to index."""

import json

from local import firestore_indexes
from shared.ports.store import INDEXES

MADE = json.loads(firestore_indexes.write())
OVERRIDES = {(each["collectionGroup"], each["fieldPath"]): each for each in MADE["fieldOverrides"]}


def test_the_file_is_what_the_code_makes() -> None:
    """After a change: .venv/bin/python -m local.reference"""
    assert firestore_indexes.FILE.read_text() == firestore_indexes.write()


def test_every_query_that_the_code_may_ask_has_its_index() -> None:
    composites = {
        (each["collectionGroup"], *(field["fieldPath"] for field in each["fields"]), each["fields"][-1]["order"])
        for each in MADE["indexes"]
    }
    for collection, indexes in INDEXES.items():
        for index in (each for each in indexes if len(each) > 1):
            assert (collection, *index, "ASCENDING") in composites
            assert ((collection, *index, "DESCENDING") in composites) == (index[-1] == "created_at")


def test_no_time_is_indexed_by_itself_but_where_a_query_wants_it() -> None:
    indexed = {key for key, override in OVERRIDES.items() if override["indexes"]}
    assert indexed == {
        (collection, index[0])
        for collection, indexes in INDEXES.items()
        for index in indexes
        if len(index) == 1 and index != ("expire_at",)
    }


def test_documents_expire_by_their_time_and_that_time_is_not_indexed() -> None:
    expiring = {key for key, override in OVERRIDES.items() if override.get("ttl")}
    assert expiring == {(name, "expire_at") for name, indexes in INDEXES.items() if ("expire_at",) in indexes}
    assert ("jobs", "expire_at") in expiring
    assert not any(OVERRIDES[key]["indexes"] for key in expiring)
