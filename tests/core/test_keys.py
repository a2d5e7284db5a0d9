"""API keys: tiers from prefixes, and managed keys that can be told from noise without the store."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.keys import (
    ALPHABET,
    CHECKSUM_LENGTH,
    Scope,
    Tier,
    _checksum,
    digest,
    is_genuine,
    managed_id,
    mint,
    new_id,
    peppered,
    static_keys,
)

PEPPER = b"pepper"
LENGTH = 56


def minted(seed: int, pepper: bytes = PEPPER) -> str:
    choose = random.Random(seed).choice
    return mint(new_id(choose), pepper, choose)


@pytest.mark.parametrize(
    ("key", "tier", "tenant"),
    [
        ("prod-key-acme-2025", Tier.PREMIUM, "acme"),
        ("premium-key-globex-x9", Tier.PREMIUM, "globex"),
        ("free-key-ann-1", Tier.FREE, "ann"),
        ("basic-key-bob-1-2-3", Tier.BASIC, "bob"),
        ("master-key-local-abc", Tier.MASTER, "local"),
    ],
)
def test_a_static_keys_prefix_gives_its_tier_and_tenant(key: str, tier: Tier, tenant: str) -> None:
    caller = static_keys(key)[digest(key)]
    assert (caller.tier, caller.tenant) == (tier, tenant)


def test_an_unknown_prefix_gets_the_lowest_tier() -> None:
    assert static_keys("whatever")[digest("whatever")].tier is Tier.FREE


def test_a_key_without_a_tenant_never_shows_its_text() -> None:
    caller = static_keys("master-9f8e7d6c")[digest("master-9f8e7d6c")]
    assert "9f8e7d6c" not in f"{caller.tenant}{caller.key_id}"


def test_blanks_and_empty_parts_of_the_list_are_no_keys() -> None:
    assert len(static_keys(" free-a , ,prod-key-b-1,")) == 2


def test_only_a_master_key_administers() -> None:
    assert Scope.ADMIN in static_keys("master-x")[digest("master-x")].scopes
    assert Scope.ADMIN not in static_keys("prod-x")[digest("prod-x")].scopes


def test_a_minted_key_carries_its_id() -> None:
    text = mint("0123456789ab", PEPPER, random.Random(1).choice)
    assert text.startswith("omni_0123456789ab_")
    assert managed_id(text) == "0123456789ab"
    assert len(text) == LENGTH


def test_two_texts_of_one_key_differ() -> None:
    choose = random.Random(1).choice
    assert mint("0123456789ab", PEPPER, choose) != mint("0123456789ab", PEPPER, choose)


@given(st.integers(0, LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_found_without_the_store(place: int, character: str) -> None:
    text = minted(2)
    changed = text[:place] + character + text[place + 1 :]
    assert changed == text or managed_id(changed) is None


@given(st.text())
def test_noise_is_no_key(text: str) -> None:
    assert managed_id(text) is None


def test_a_key_is_genuine_by_any_of_the_peppers() -> None:
    assert is_genuine(minted(3), (PEPPER,))
    assert is_genuine(minted(3), (b"newer", PEPPER))
    assert not is_genuine(minted(3), (b"newer",))
    assert not is_genuine(minted(3), ())


@given(st.integers(0, LENGTH - CHECKSUM_LENGTH - 1), st.sampled_from(ALPHABET))
def test_a_guess_with_the_right_checksum_is_not_genuine(place: int, character: str) -> None:
    text = minted(4)
    body = text[:place] + character + text[place + 1 : -CHECKSUM_LENGTH]
    assert body == text[:-CHECKSUM_LENGTH] or not is_genuine(body + _checksum(body), (PEPPER,))


def test_the_stored_hash_depends_on_the_pepper() -> None:
    assert peppered("omni_x", b"one") != peppered("omni_x", b"two")
