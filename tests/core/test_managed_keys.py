"""A managed key's life: what works when, and that nothing brings a revoked key back."""

import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import Conflict
from shared.core.keys import Scope, Tier, peppered
from shared.core.managed_keys import (
    MOST_TEXTS,
    NOBODY,
    ManagedKey,
    TextHash,
    change,
    credential,
    from_document,
    revoke,
    rotate,
    to_document,
)

NOW = 1_800_000_000.0
PEPPERS = (b"pepper",)


def hashed(text: str, pepper: bytes = PEPPERS[0]) -> str:
    return peppered(text, pepper)


KEY = ManagedKey(
    id="k1",
    name="ci",
    tenant="acme",
    tier=Tier.BASIC,
    scopes=frozenset({Scope.INFERENCE}),
    texts=(TextHash(hashed("first")),),
    created_at=NOW,
    created_by="root",
)
FULL = replace(
    KEY,
    requests_per_minute=7,
    models=frozenset({"small"}),
    ips=("203.0.113.0/24",),
    metadata={"team": "blue"},
    expires_at=NOW + 100,
    changed_at=NOW + 1,
    changed_by="root",
    change=3,
)


def working(key: ManagedKey, *texts: str, at: float) -> list[str]:
    """Those of the texts that the key accepts at a time."""
    found = credential(key)
    return [] if found.has_ended(at) else [text for text in texts if found.has(text, PEPPERS, at)]


@pytest.mark.parametrize("key", [KEY, FULL, revoke(FULL, NOW), rotate(KEY, "ff", 10, NOW)])
def test_a_key_comes_back_from_its_document_as_it_was(key: ManagedKey) -> None:
    assert from_document(json.loads(json.dumps(to_document(key)))) == key


def test_a_document_written_before_a_field_was_there_is_read() -> None:
    old = {name: to_document(KEY)[name] for name in ("id", "name", "tenant", "tier", "scopes", "texts")}
    assert from_document(old | {"created_at": NOW, "created_by": "root"}) == KEY


def test_the_caller_is_what_the_key_says() -> None:
    caller = credential(FULL).caller
    assert (caller.key_id, caller.tenant, caller.tier) == ("k1", "acme", Tier.BASIC)
    assert (caller.requests_per_minute, caller.models) == (7, frozenset({"small"}))
    assert caller.networks == (ip_network("203.0.113.0/24"),)
    assert credential(KEY).caller.requests_per_minute is None


def test_only_its_own_text_is_the_keys() -> None:
    assert working(KEY, "first", "second", "", at=NOW) == ["first"]
    assert not NOBODY.has("first", PEPPERS, NOW)


def test_a_text_is_known_by_any_pepper_that_is_still_in_use() -> None:
    found = credential(KEY)
    assert found.has("first", (b"newer", *PEPPERS), NOW)
    assert not found.has("first", (b"newer",), NOW)


def test_a_rotation_ends_the_old_text_at_once_unless_asked_otherwise() -> None:
    rotated = rotate(KEY, hashed("second"), 0, NOW)
    assert working(rotated, "first", "second", at=NOW) == ["second"]


def test_the_old_text_works_during_the_overlap_and_no_longer() -> None:
    rotated = rotate(KEY, hashed("second"), 60, NOW)
    assert working(rotated, "first", "second", at=NOW + 59) == ["first", "second"]
    assert working(rotated, "first", "second", at=NOW + 60) == ["second"]
    assert rotated.older_texts_until(NOW) == NOW + 60
    assert rotated.older_texts_until(NOW + 60) is None


def test_a_later_rotation_never_prolongs_an_older_text() -> None:
    rotated = rotate(rotate(KEY, hashed("second"), 60, NOW), hashed("third"), 600, NOW)
    assert working(rotated, "first", "second", "third", at=NOW + 61) == ["second", "third"]


def test_a_later_rotation_without_overlap_ends_every_older_text() -> None:
    rotated = rotate(rotate(KEY, hashed("second"), 600, NOW), hashed("third"), 0, NOW)
    assert working(rotated, "first", "second", "third", at=NOW) == ["third"]


def test_texts_that_still_work_are_not_piled_up_without_bound() -> None:
    key = KEY
    for n in range(1, MOST_TEXTS):
        key = rotate(key, hashed(f"text {n}"), 60, NOW)
    with pytest.raises(Conflict):
        rotate(key, hashed("one more"), 60, NOW)
    assert len(rotate(key, hashed("later"), 60, NOW + 61).texts) == 2


def test_an_expired_key_works_no_more_until_it_is_given_more_time() -> None:
    assert working(FULL, "first", at=NOW + 99) == ["first"]
    assert working(FULL, "first", at=NOW + 100) == []
    assert working(change(FULL, {"expires_at": None}), "first", at=NOW + 100) == ["first"]
    with pytest.raises(Conflict):
        rotate(FULL, "ff", 0, NOW + 100)


def test_revoked_is_for_good() -> None:
    revoked = revoke(rotate(KEY, hashed("second"), 60, NOW), NOW)
    assert working(revoked, "first", "second", at=NOW) == []
    with pytest.raises(Conflict):
        rotate(revoked, "ff", 0, NOW)
    with pytest.raises(Conflict):
        change(revoked, {"expires_at": None})


def test_revoking_twice_keeps_the_first_time() -> None:
    assert revoke(revoke(KEY, NOW), NOW + 5).revoked_at == NOW


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 200)), max_size=MOST_TEXTS - 2))
def test_no_text_outlives_any_overlap_it_was_given(rotations: list[tuple[float, float]]) -> None:
    key, now, ends = KEY, NOW, {"first": float("inf")}
    for n, (wait, overlap) in enumerate(rotations):
        now += wait
        key = rotate(key, hashed(f"text {n}"), overlap, now)
        ends = {text: min(end, now + overlap) for text, end in ends.items()} | {f"text {n}": float("inf")}
    for at in (now, now + 50, now + 250):
        assert set(working(key, *ends, at=at)) == {text for text, end in ends.items() if at < end}
