"""ID tokens from Google's metadata server, which every instance of Cloud Run has beside it.

A token is good for an hour and is kept until its last minutes.
"""

import base64
import http.client
import threading
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from shared.core.errors import Unavailable
from shared.ports.clock import Clock

PATH = "/computeMetadata/v1/instance/service-accounts/default/identity?audience="
TIMEOUT_S = 2.0
MARGIN_S = 300.0
"""A token is replaced this long before it ends: a request may be under way for minutes before it is looked at."""


class Claims(msgspec.Struct):
    exp: float


@dataclass(frozen=True, slots=True)
class Kept:
    token: str
    ends_at: float
    """Seconds since 1970."""


class MetadataIdentity:
    def __init__(self, host: str, clock: Clock) -> None:
        self._host = host
        self._now = clock.now
        self._kept: dict[str, Kept] = {}
        self._asking = threading.Lock()

    def token(self, audience: str) -> str:
        with self._asking:
            if not self.is_at_hand(audience):
                self._kept[audience] = self._ask(audience)
            return self._kept[audience].token

    def is_at_hand(self, audience: str) -> bool:
        kept = self._kept.get(audience)
        return kept is not None and self._now() < kept.ends_at - MARGIN_S

    def _ask(self, audience: str) -> Kept:
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)
        try:
            connection.request("GET", PATH + quote(audience, safe=""), headers={"Metadata-Flavor": "Google"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise _unavailable(repr(error)) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise _unavailable(f"{answer.status} {text[:200]}")
        return Kept(text, _ends_at(text))


def _ends_at(token: str) -> float:
    """When a token ends, by its own claim; whoever it is shown to checks that it is genuine."""
    try:
        claims = token.split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)), type=Claims).exp
    except (IndexError, ValueError) as error:
        raise _unavailable(f"not a token: {token[:20]}") from error


def _unavailable(reason: str) -> Unavailable:
    return Unavailable(detail=f"the metadata server gives no ID token: {reason}", retry_after_s=1.0)
