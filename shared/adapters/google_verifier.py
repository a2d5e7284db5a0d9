"""Google's ID tokens: RS256 signatures, checked with the certificates that Google publishes.

Certificates are kept for as long as Google says and fetched again before that time is over, while the old ones still
serve; when they cannot be fetched the old ones serve on for a day. A token of an unknown key is reason to fetch them
again, but not more often than each half minute.

Cloud Run takes the signature off the tokens that it has checked itself. Such a token is believed only if the settings
say that the platform checks callers: whoever could reach the service past that check could write one.
"""

import logging
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from shared.core.errors import NotInstalled, Unauthenticated, Unavailable
from shared.ports.clock import Clock

ISSUERS = frozenset({"https://accounts.google.com", "accounts.google.com"})
SIGNATURE_REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
LONGEST_TOKEN = 8192
SKEW_S = 10.0
TIMEOUT_S = 3.0
RETRY_S = 10.0
UNKNOWN_KEY_S = 30.0
REFRESH_AT = 0.8
LEAST_AGE_S, MOST_AGE_S = 60.0, 24 * 3600.0
MAX_AGE = re.compile(r"max-age=(\d{1,9})")

log = logging.getLogger("omni.identity")


@dataclass(frozen=True, slots=True)
class Certificates:
    by_key: Mapping[str, str]
    """PEM, by key id."""
    fetched_at: float
    """Monotonic."""
    max_age_s: float


NONE = Certificates({}, -MOST_AGE_S, 0.0)


class GoogleVerifier:
    def __init__(self, clock: Clock, url: str, *, platform_checks: bool = False) -> None:
        self._clock = clock
        self._url = url
        self._platform_checks = platform_checks
        self._certificates = NONE
        self._retry_at = 0.0
        self._fetching = threading.Lock()

    def account(self, token: str, audiences: Collection[str]) -> str:
        try:
            claims = self._claims(token)
            problem = _problem(claims, audiences, self._clock.now())
        except (ValueError, TypeError, AttributeError, KeyError) as error:  # whatever a forger writes into a token
            problem = repr(error)
        if problem:
            raise _refused(problem)
        return str(claims["email"])

    def _claims(self, token: str) -> Any:
        try:
            from google.auth import jwt
        except ModuleNotFoundError:
            raise NotInstalled("Checking ID tokens needs the package google-auth (extra `gcp`).") from None
        if len(token) > LONGEST_TOKEN:
            raise ValueError("it is too long")
        header: Mapping[str, Any] = jwt.decode_header(token)  # type: ignore[no-untyped-call]
        if header.get("alg") != "RS256":
            raise ValueError("it is not signed with RS256")
        if self._platform_checks and token.endswith("." + SIGNATURE_REMOVED):
            return jwt.decode(token, verify=False)  # type: ignore[no-untyped-call]
        certificate = self._certificate(str(header.get("kid")))
        return jwt.decode(token, certificate, clock_skew_in_seconds=SKEW_S)  # type: ignore[no-untyped-call]

    def _certificate(self, key_id: str) -> str:
        """PEM; Unauthenticated when Google has no such key."""
        age_s = self._age_s()
        if key_id not in self._certificates.by_key or age_s > self._certificates.max_age_s:
            self._fetch(oldest_s=UNKNOWN_KEY_S if key_id not in self._certificates.by_key else age_s)
        elif age_s > self._certificates.max_age_s * REFRESH_AT and self._clock.monotonic() >= self._retry_at:
            threading.Thread(target=self._fetch, args=(age_s,), name="certificates", daemon=True).start()
        if not self._certificates.by_key or self._age_s() > MOST_AGE_S:
            raise Unavailable("Callers cannot be identified at the moment.", retry_after_s=RETRY_S)
        if certificate := self._certificates.by_key.get(key_id):
            return certificate
        raise _refused(f"Google has no key {key_id[:80]!r}")

    def _fetch(self, oldest_s: float) -> None:
        """Replaces certificates that are at least so old, unless somebody else just did, or they could not be had."""
        with self._fetching:
            now = self._clock.monotonic()
            if self._age_s() < oldest_s or now < self._retry_at:
                return
            try:
                answer = httpx.get(self._url, timeout=TIMEOUT_S, follow_redirects=False).raise_for_status()
                found = {str(key): str(certificate) for key, certificate in answer.json().items()}
            except (httpx.HTTPError, ValueError, AttributeError) as error:
                self._retry_at = now + RETRY_S
                log.warning("Google's certificates cannot be fetched", extra={"fields": {"reason": repr(error)}})
                return
            told = MAX_AGE.search(answer.headers.get("cache-control", ""))
            max_age_s = min(MOST_AGE_S, max(LEAST_AGE_S, float(told[1]))) if told else LEAST_AGE_S
            self._certificates = Certificates(found, now, max_age_s)

    def _age_s(self) -> float:
        return self._clock.monotonic() - self._certificates.fetched_at


def _problem(claims: Mapping[str, Any], audiences: Collection[str], now: float) -> str:
    """Why these claims are not to be believed; empty when they are."""
    if claims.get("iss") not in ISSUERS:
        return "Google has not issued it"
    if claims.get("aud") not in audiences:
        return f"it was made for {str(claims.get('aud'))[:200]!r}"
    if not isinstance(ends := claims.get("exp"), int | float) or now > ends + SKEW_S:
        return "its time is over"
    if not isinstance(began := claims.get("iat"), int | float) or now < began - SKEW_S:
        return "its time has not come"
    if claims.get("email_verified") is not True or not isinstance(claims.get("email"), str):
        return "it names no account"
    return ""


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated("The ID token is not valid here.", code="invalid_id_token", detail=reason)
