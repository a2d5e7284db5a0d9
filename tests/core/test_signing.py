"""The signed caller: what the gateway says is believed, and nothing else is."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.keys import SYSTEM, Caller, Scope, Tier
from shared.core.signing import LIFETIME_S, sign, verify

KEY = b"signing key"
CALLER = Caller("k1", "acme", Tier.PREMIUM, frozenset({Scope.INFERENCE, Scope.JOBS}), 1000)


BOUND = replace(CALLER, models=frozenset({"small", "org/large"}))


@pytest.mark.parametrize("caller", [CALLER, SYSTEM, BOUND, replace(CALLER, models=frozenset())])
def test_a_signed_caller_comes_back_whole(caller: Caller) -> None:
    assert verify(sign(caller, KEY, 1000.0), KEY, 1000.0) == caller


def test_a_signature_lasts_its_lifetime_and_no_longer() -> None:
    value = sign(CALLER, KEY, 1000.0)
    assert verify(value, KEY, 1000.0 + LIFETIME_S) == CALLER
    assert verify(value, KEY, 1000.0 + LIFETIME_S + 1) is None


def test_another_key_signs_in_vain() -> None:
    assert verify(sign(CALLER, b"another", 1000.0), KEY, 1000.0) is None


def test_changed_claims_are_refused() -> None:
    payload, mac = sign(CALLER, KEY, 1000.0).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload)) | {"scopes": ["system"]}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    assert verify(f"{forged}.{mac}", KEY, 1000.0) is None


@given(st.text())
def test_noise_is_refused(value: str) -> None:
    assert verify(value, KEY, 1000.0) is None
