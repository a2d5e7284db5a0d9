"""Managed keys for tests, written to a store as the routes write them."""

import random
from dataclasses import replace
from typing import Any

from shared.core import managed_keys
from shared.core.keys import USER_SCOPES, Tier, mint, new_id, peppered
from shared.core.managed_keys import ManagedKey, TextHash
from shared.keys import changes as key_changes
from shared.ports.store import Store

PEPPER = b"pepper"


class KeyOffice:
    """Makes and changes keys in a store, as another process would."""

    def __init__(self, store: Store, pepper: bytes = PEPPER, seed: int = 1) -> None:
        self._store = store
        self._pepper = pepper
        self._choose = random.Random(seed).choice

    def new(self, **fields: Any) -> tuple[str, str]:
        """The id and the text of a new key."""
        key_id = new_id(self._choose)
        text, hashed = self.minted(key_id)

        def make(now: float) -> ManagedKey:
            key = ManagedKey(key_id, "test", "acme", Tier.PREMIUM, USER_SCOPES, (TextHash(hashed),), now, "office")
            return replace(key, **fields)

        key_changes.create(self._store, make)
        return key_id, text

    def unknown(self) -> str:
        """A genuine text whose key is not in the store."""
        return self.minted(new_id(self._choose))[0]

    def change(self, key_id: str, **fields: Any) -> None:
        self._edit(key_id, lambda key, _: managed_keys.change(key, fields))

    def revoke(self, key_id: str) -> None:
        self._edit(key_id, managed_keys.revoke)

    def rotate(self, key_id: str, overlap_s: float = 0) -> str:
        """The new text."""
        text, hashed = self.minted(key_id)
        self._edit(key_id, lambda key, now: managed_keys.rotate(key, hashed, overlap_s, now))
        return text

    def minted(self, key_id: str) -> tuple[str, str]:
        """A text for the key that the store knows nothing of, and its hash."""
        text = mint(key_id, self._pepper, self._choose)
        return text, peppered(text, self._pepper)

    def _edit(self, key_id: str, edit: key_changes.Edit) -> None:
        key_changes.change(self._store, key_id, "office", edit)
