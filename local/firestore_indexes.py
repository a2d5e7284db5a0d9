"""Writes terraform/firestore_indexes.json from the store's indexes: what Firestore has to index, and what not.

The file has the form that Firebase's tools use too. A test compares it with what this makes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.firestore import BODY, MARK
from shared.ports.store import EITHER_WAY, EXPIRY, INDEXES

FILE = Path(__file__).parent.parent / "terraform" / "firestore_indexes.json"
ASCENDING, DESCENDING = "ASCENDING", "DESCENDING"


def write() -> str:
    """The whole file."""
    indexes = _rows(index for collection in INDEXES for index in _composites(collection))
    overrides = _rows(override for collection in INDEXES for override in _overrides(collection))
    return f'{{\n  "indexes": [\n{indexes}\n  ],\n  "fieldOverrides": [\n{overrides}\n  ]\n}}\n'


def _rows(entries: Iterable[dict[str, Any]]) -> str:
    return ",\n".join(f"    {json.dumps(entry)}" for entry in entries)


def _composites(collection: str) -> list[dict[str, Any]]:
    return [
        {
            "collectionGroup": collection,
            "queryScope": "COLLECTION",
            "fields": [
                *({"fieldPath": name, "order": ASCENDING} for name in equal),
                {"fieldPath": order, "order": direction},
            ],
        }
        for *equal, order in INDEXES[collection]
        if equal
        for direction in _directions(order)
    ]


def _overrides(collection: str) -> list[dict[str, Any]]:
    """Every field there is, so that none is indexed unasked: an index on a time takes 500 writes a second at most."""
    fields = {BODY, MARK, *EXPIRY}.union(*INDEXES[collection])
    return [_override(collection, name) for name in sorted(fields)]


def _override(collection: str, name: str) -> dict[str, Any]:
    alone = (name,) in INDEXES[collection]
    expires = alone and (name,) == EXPIRY
    wanted = _directions(name) if alone and not expires else ()
    override = {
        "collectionGroup": collection,
        "fieldPath": name,
        "indexes": [{"order": direction, "queryScope": "COLLECTION"} for direction in wanted],
    }
    return override | ({"ttl": True} if expires else {})


def _directions(order: str) -> tuple[str, ...]:
    return (ASCENDING, DESCENDING) if order in EITHER_WAY else (ASCENDING,)
