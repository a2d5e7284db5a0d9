"""A signed caller is believed for the call that it was signed for, by the gateway's key, and for nothing else."""

import base64
import hashlib
import hmac
import json
from dataclasses import fields, replace
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from shared.core.budgets import Budget
from shared.core.errors import Unavailable
from shared.core.keys import SYSTEM, Caller, Scope, Tier
from shared.keys.caller_keys import PRIVATE, PUBLIC, CallerSigningKey, CallerVerifier
from shared.keys.caller_token import LIFETIME_S, NOT_CARRIED, SKEW_S, WORKER, Call
from shared.settings import SettingsError
from tests.caller_keys import OTHER_PRIVATE_KEY, OTHER_PUBLIC_KEY, PRIVATE_KEY, PUBLIC_KEY, caller_in, signed
from tests.fakes import FakeClock, FakeSecrets

CALLER = Caller("k1", "acme", Tier.PREMIUM, frozenset({Scope.INFERENCE, Scope.JOBS}), 1000)
WHOLE = Caller(
    "k2", "acme", Tier.FREE, frozenset(Scope), 0, models=frozenset({"small", "org/large"}), tokens_per_minute=1,
    concurrent_requests=2, requests_per_day=3, strict=True, budget=Budget(1, None),
)  # fmt: skip
CALL = Call("jobs_create", "POST", "/api/v1/jobs", "a=1")
NOW = FakeClock().now()


def verifier(keys: str = PUBLIC_KEY) -> CallerVerifier:
    return CallerVerifier(FakeSecrets(**{PUBLIC: keys}), FakeClock())


@pytest.mark.parametrize("caller", [CALLER, SYSTEM, WHOLE, replace(CALLER, models=frozenset())])
def test_a_signed_caller_comes_back_whole(caller: Caller) -> None:
    assert caller_in(signed(caller, CALL, NOW), CALL, FakeClock()) == caller


def test_every_field_of_a_caller_is_carried_but_where_it_may_come_from() -> None:
    """So that none that is added is forgotten on the way, as `strict` was."""
    default = {field.name: field.default for field in fields(Caller)}
    unchanged = {name for name, value in default.items() if getattr(WHOLE, name) == value}
    assert unchanged == NOT_CARRIED
    bound = replace(WHOLE, networks=(ip_network("10.0.0.0/8"),))
    assert caller_in(signed(bound, CALL, NOW), CALL, FakeClock()) == WHOLE


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, audience="keys_create"),
        replace(CALL, audience=WORKER),
        replace(CALL, method="DELETE"),
        replace(CALL, path="/api/v1/jobs/1"),
        replace(CALL, query=""),
        replace(CALL, query="a=2"),
    ],
)
def test_it_is_good_for_one_call_only(other: Call) -> None:
    assert caller_in(signed(CALLER, CALL, NOW), other, FakeClock()) is None


def test_it_lasts_its_lifetime_and_no_longer() -> None:
    token = signed(CALLER, CALL, NOW)
    for age_s, is_good in ((-SKEW_S - 1, False), (-SKEW_S, True), (LIFETIME_S, True), (LIFETIME_S + 1, False)):
        assert bool(caller_in(token, CALL, FakeClock(NOW + age_s))) is is_good


def test_what_was_believed_once_ends_with_its_lifetime() -> None:
    clock = FakeClock()
    checker = CallerVerifier(FakeSecrets(**{PUBLIC: PUBLIC_KEY}), clock)
    token = signed(CALLER, CALL, clock.now())
    assert checker.verify(token, CALL)
    clock.advance(LIFETIME_S + 1)
    assert checker.verify(token, CALL) is None


def test_a_token_for_one_call_is_refused_the_second_time() -> None:
    checker, token = verifier(), signed(CALLER, CALL, NOW, body=b"{}")
    assert checker.verify(token, CALL)
    assert checker.verify(token, CALL) is None
    assert checker.remembered(token, CALL) is None


def test_a_token_for_many_calls_is_good_again_for_the_same_one() -> None:
    checker, token = verifier(), signed(CALLER, CALL, NOW)
    assert checker.verify(token, CALL) == checker.verify(token, CALL)
    assert checker.verify(token, replace(CALL, method="PUT")) is None


def test_another_key_signs_in_vain() -> None:
    assert caller_in(signed(CALLER, CALL, NOW, private_key=OTHER_PRIVATE_KEY), CALL, FakeClock()) is None


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decoded(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def forgeries() -> dict[str, str]:
    """What somebody can make who has seen a token and the public key."""
    header, payload, signature = signed(CALLER, CALL, NOW).split(".")
    claims = decoded(payload)
    more = encoded(claims | {"caller": claims["caller"] | {"scopes": ["system"]}})
    kid = decoded(header)["kid"]

    def mac(head: dict[str, Any], key: bytes) -> str:
        text = f"{encoded(head)}.{more}"
        return (
            f"{text}.{base64.urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).rstrip(b'=').decode()}"
        )

    typed = {"typ": "omni-caller", "kid": kid}
    return {
        "changed claims": f"{header}.{more}.{signature}",
        "no algorithm": f"{encoded({'alg': 'none'} | typed)}.{more}.",
        "no algorithm, a signature": f"{encoded({'alg': 'none'} | typed)}.{more}.{signature}",
        "the public key as a password": mac({"alg": "HS256"} | typed, PUBLIC_KEY.encode()),
        "the same header, a MAC": mac({"alg": "EdDSA"} | typed, PUBLIC_KEY.encode()),
        "another key's id": f"{encoded({'alg': 'EdDSA', 'typ': 'omni-caller', 'kid': 'x'})}.{payload}.{signature}",
        "a key of its own": f"{encoded({'alg': 'EdDSA', 'jwk': {}} | typed)}.{payload}.{signature}",
        "the header in other words": f"{encoded(typed | {'alg': 'EdDSA'})}.{payload}.{signature}",
        "no signature": f"{header}.{payload}.",
        "cut off": f"{header}.{payload}.{signature[:-1]}",
        "padded": f"{header}.{payload}.{signature}==",
        "two parts": f"{header}.{payload}",
        "two at once": f"{header}.{payload}.{signature}, {header}.{payload}.{signature}",
        "another token type": f"{encoded({'alg': 'EdDSA', 'typ': 'JWT', 'kid': kid})}.{payload}.{signature}",
    }


@pytest.mark.parametrize("what", forgeries())
def test_a_forgery_is_refused(what: str) -> None:
    assert caller_in(forgeries()[what], CALL, FakeClock()) is None


@given(st.text())
def test_noise_is_refused(value: str) -> None:
    assert caller_in(value, CALL, FakeClock()) is None


def test_keys_are_replaced_without_a_refused_call() -> None:
    """Public keys first, then the private one, then the old public one goes."""
    old, new = signed(CALLER, CALL, NOW), signed(CALLER, CALL, NOW, private_key=OTHER_PRIVATE_KEY)
    both = PUBLIC_KEY + OTHER_PUBLIC_KEY
    assert [bool(caller_in(token, CALL, FakeClock(), both)) for token in (old, new)] == [True, True]
    assert [bool(caller_in(token, CALL, FakeClock(), OTHER_PUBLIC_KEY)) for token in (old, new)] == [False, True]


def test_a_new_public_key_is_looked_for_when_a_token_fits_none() -> None:
    secrets = FakeSecrets(**{PUBLIC: PUBLIC_KEY})
    checker = CallerVerifier(secrets, FakeClock())
    secrets.values[PUBLIC] = OTHER_PUBLIC_KEY + PUBLIC_KEY
    assert checker.verify(signed(CALLER, CALL, NOW, private_key=OTHER_PRIVATE_KEY), CALL)


def test_a_public_key_that_was_taken_away_verifies_nothing_that_was_believed_before() -> None:
    secrets = FakeSecrets(**{PUBLIC: PUBLIC_KEY})
    checker, token = CallerVerifier(secrets, FakeClock()), signed(CALLER, CALL, NOW)
    assert checker.verify(token, CALL)
    secrets.values[PUBLIC] = OTHER_PUBLIC_KEY
    secrets.grow_old()
    assert checker.verify(token, CALL) is None


def test_a_good_token_asks_nothing_of_the_source() -> None:
    secrets = FakeSecrets(**{PUBLIC: PUBLIC_KEY})
    checker = CallerVerifier(secrets, FakeClock())
    for _ in range(10):
        assert checker.verify(signed(CALLER, CALL, NOW, body=b""), CALL)
    assert secrets.waits == 1


def test_what_is_no_public_key_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A private key where the public ones belong is not used either."""
    rubbish = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    assert caller_in(signed(CALLER, CALL, NOW), CALL, FakeClock(), rubbish + PRIVATE_KEY + PUBLIC_KEY) == CALLER
    assert len(caplog.records) == 2
    assert PRIVATE_KEY.splitlines()[1] not in caplog.text


@pytest.mark.parametrize("text", ["", " , ", "secret"])
def test_without_keys_there_is_no_start(text: str) -> None:
    with pytest.raises(SettingsError, match=PRIVATE):
        CallerSigningKey(FakeSecrets(**{PRIVATE: text}))
    with pytest.raises(SettingsError, match=PUBLIC):
        CallerVerifier(FakeSecrets(**{PUBLIC: text}), FakeClock())


def test_a_source_that_is_down_at_the_start_is_waited_for() -> None:
    secrets = FakeSecrets(**{PRIVATE: PRIVATE_KEY})
    secrets.is_down = True
    key = CallerSigningKey(secrets)
    with pytest.raises(Unavailable):
        key.signer()
    secrets.is_down = False
    assert not key.is_at_hand
    assert key.signer() is key.signer()
    assert key.is_at_hand


@pytest.mark.parametrize("text", ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "rsa"])
def test_a_key_that_is_none_is_unavailable_by_name(text: str) -> None:
    secrets = FakeSecrets(**{PRIVATE: PRIVATE_KEY})
    key = CallerSigningKey(secrets)
    secrets.values[PRIVATE] = rsa() if text == "rsa" else text
    secrets.grow_old()
    with pytest.raises(Unavailable) as refusal:
        key.signer()
    assert PRIVATE in refusal.value.detail


def rsa() -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(65537, 1024)  # noqa: S505 - never used
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
