"""Google's ID tokens: real RSA signatures, and the certificates on a local server."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.auth import crypt, jwt
from hypothesis import example, given
from hypothesis import strategies as st

from shared.adapters.google_verifier import MOST_AGE_S, RETRY_S, SIGNATURE_REMOVED, UNKNOWN_KEY_S, GoogleVerifier
from shared.core.errors import Unauthenticated, Unavailable
from tests import google_identity
from tests.fakes import FakeClock
from tests.google_identity import ACCOUNT, Google, Key
from tests.waiting import wait_until

AUDIENCE = "https://omni-worker-1.europe-west1.run.app"


@pytest.fixture(scope="module")
def shared_google() -> Iterator[Google]:
    with google_identity.running() as google:
        yield google


@pytest.fixture
def google(shared_google: Google) -> Iterator[Google]:
    yield shared_google
    shared_google.status, shared_google.asked, shared_google.max_age_s = 200, 0, 3600
    shared_google.open.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time.time())


@pytest.fixture
def verifier(google: Google, clock: FakeClock) -> GoogleVerifier:
    google.asked = 0
    return GoogleVerifier(clock, google.certificates_url)


def refused(verifier: GoogleVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        verifier.account(token, {AUDIENCE})
    return refusal.value.detail


def test_a_valid_token_names_its_account(verifier: GoogleVerifier, google: Google) -> None:
    assert verifier.account(google.token(AUDIENCE), {AUDIENCE, "https://other"}) == ACCOUNT


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": AUDIENCE + "/tasks/run"}, "made for"),
        ({"aud": ""}, "made for"),
        ({"aud": None}, "made for"),
        ({"aud": [AUDIENCE]}, ""),
        ({"iss": "https://accounts.evil.com"}, "issued"),
        ({"iss": None}, "issued"),
        ({"email_verified": False}, "account"),
        ({"email_verified": "true"}, "account"),
        ({"email": None}, "account"),
        ({"exp": None}, "exp"),
        ({"exp": int(time.time()) - 600}, "expired"),
        ({"exp": "tomorrow"}, ""),
        ({"iat": int(time.time()) + 86_400}, "early"),
        ({"iat": None}, "iat"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(
    verifier: GoogleVerifier, google: Google, changes: dict[str, Any], why: str
) -> None:
    assert why in refused(verifier, google.token(AUDIENCE, **changes))


def test_a_token_signed_by_anybody_else_is_refused(verifier: GoogleVerifier, google: Google) -> None:
    forger = Key("key-1")
    assert "signature" in refused(verifier, forger.sign(google.claims(AUDIENCE)))
    assert "no key 'key-9'" in refused(verifier, Key("key-9").sign(google.claims(AUDIENCE)))


def test_a_token_whose_claims_were_changed_is_refused(verifier: GoogleVerifier, google: Google) -> None:
    header, _, signature = google.token(AUDIENCE).split(".")
    claims = base64.urlsafe_b64encode(json.dumps(google.claims(AUDIENCE, "evil@x")).encode()).decode().rstrip("=")
    refused(verifier, f"{header}.{claims}.{signature}")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", "RS512", ""])
def test_no_other_algorithm_is_taken(verifier: GoogleVerifier, google: Google, algorithm: str) -> None:
    """With HS256 the published key itself would be the secret."""
    _, claims, signature = google.token(AUDIENCE).split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "key-1"}).encode()).decode().rstrip("=")
    assert "RS256" in refused(verifier, f"{header}.{claims}.{signature}")


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
@example("a.b.c")
@example("..")
@example("e30.e30.e30")
@example("bnVsbA.bnVsbA.")
@example("W10.W10.W10")
@example("x" * 100_000)
@example('{"alg":"RS256"}')
def test_nonsense_is_refused_and_never_breaks_anything(text: str) -> None:
    verifier = GoogleVerifier(FakeClock(), "http://127.0.0.1:9/none")
    for token in (text, f"{text}.{text}.{text}"):
        refused(verifier, token)


def test_the_certificates_are_fetched_once(verifier: GoogleVerifier, google: Google) -> None:
    for _ in range(5):
        verifier.account(google.token(AUDIENCE), {AUDIENCE})
    assert google.asked == 1


def test_they_are_renewed_ahead_of_time_while_nobody_waits(
    verifier: GoogleVerifier, google: Google, clock: FakeClock
) -> None:
    token = google.token(AUDIENCE, exp=int(time.time()) + 20_000)
    verifier.account(token, {AUDIENCE})
    google.open.clear()
    clock.advance(3000)
    assert verifier.account(token, {AUDIENCE}) == ACCOUNT
    google.open.set()
    wait_until(lambda: google.asked == 2, description="the certificates were fetched again")


def test_a_new_key_is_known_at_once_but_guesses_do_not_ask_google_each_time(
    verifier: GoogleVerifier, google: Google, clock: FakeClock
) -> None:
    verifier.account(google.token(AUDIENCE), {AUDIENCE})
    google.rotate()
    clock.advance(UNKNOWN_KEY_S)
    assert verifier.account(google.token(AUDIENCE), {AUDIENCE}) == ACCOUNT
    asked = google.asked
    forged = Key("no-such-key").sign(google.claims(AUDIENCE))
    for _ in range(20):
        refused(verifier, forged)
    assert google.asked == asked


def test_while_google_is_away_the_known_keys_serve_on_for_a_day(
    verifier: GoogleVerifier, google: Google, clock: FakeClock
) -> None:
    token = google.token(AUDIENCE, exp=int(time.time()) + 10 * 86_400)
    verifier.account(token, {AUDIENCE})
    google.status = 503
    clock.advance(MOST_AGE_S - 1)
    assert verifier.account(token, {AUDIENCE}) == ACCOUNT
    clock.advance(RETRY_S + 2)
    with pytest.raises(Unavailable):
        verifier.account(token, {AUDIENCE})


def test_a_google_that_was_never_reached_is_unavailable_and_left_alone(
    verifier: GoogleVerifier, google: Google, clock: FakeClock
) -> None:
    google.status = 500
    for _ in range(3):
        with pytest.raises(Unavailable):
            verifier.account(google.token(AUDIENCE), {AUDIENCE})
    assert google.asked == 1
    google.status = 200
    clock.advance(RETRY_S + 1)
    assert verifier.account(google.token(AUDIENCE), {AUDIENCE}) == ACCOUNT


def test_a_google_that_hangs_is_waited_for_a_bounded_time(verifier: GoogleVerifier, google: Google) -> None:
    google.open.clear()
    with pytest.raises(Unavailable):
        verifier.account(google.token(AUDIENCE), {AUDIENCE})


def without_signature(token: str) -> str:
    return token.rpartition(".")[0] + "." + SIGNATURE_REMOVED


def test_a_token_without_its_signature_is_refused(verifier: GoogleVerifier, google: Google) -> None:
    refused(verifier, without_signature(google.token(AUDIENCE)))


def test_where_the_platform_checks_it_is_believed_and_its_claims_are_checked(google: Google, clock: FakeClock) -> None:
    verifier = GoogleVerifier(clock, google.certificates_url, platform_checks=True)
    assert verifier.account(without_signature(google.token(AUDIENCE)), {AUDIENCE}) == ACCOUNT
    for changes in ({"aud": "x"}, {"exp": int(time.time()) - 600}, {"iss": "x"}, {"email_verified": None}):
        refused(verifier, without_signature(google.token(AUDIENCE, **changes)))
    refused(verifier, Key("key-1").sign(google.claims(AUDIENCE)))


def test_the_library_s_own_check_agrees(google: Google) -> None:
    """That what is signed here is what google-auth takes for a token of Google's."""
    certificates = httpx.get(google.certificates_url).json()
    claims = jwt.decode(google.token(AUDIENCE), certificates, audience=AUDIENCE)  # type: ignore[no-untyped-call]
    assert claims["email"] == ACCOUNT
    assert crypt.RSAVerifier.from_string(certificates["key-1"])  # type: ignore[no-untyped-call]
