"""The keys that sign callers: the newest signs, all are accepted, and one that is not known yet is looked for."""

import logging

from shared.core import signing
from shared.core.errors import Unavailable
from shared.core.keys import Caller
from shared.ports.secrets import Secrets
from shared.secret import Secret, newest_first
from shared.settings import SettingsError

NAME = "OMNI_SIGNING_KEY"
MISSING = f"{NAME} is missing: the gateway signs callers with it, functions check them"
LOOK_AGAIN_S = 1.0
"""How old the keys may be when a signature fits none: its maker may have learnt of a new key first."""

log = logging.getLogger("omni.keys")


class SigningKeys:
    """SettingsError when there is none, since nothing could be trusted then."""

    def __init__(self, secrets: Secrets) -> None:
        self._keys = Secret(secrets, NAME, newest_first)
        try:
            if not self._keys.value():
                raise SettingsError(MISSING)
        except Unavailable as error:  # it may be back soon: until then every request is answered with 503
            log.error("secrets cannot be read yet: %s", error.message, extra={"fields": {"detail": error.detail}})

    @property
    def are_at_hand(self) -> bool:
        """Whether `newest` does not wait for the secret's source."""
        return self._keys.is_at_hand

    def newest(self) -> bytes:
        """The key to sign with; Unavailable when it was taken away."""
        for key in self._keys.value():
            return key
        raise Unavailable(detail=MISSING)

    def remembered(self, signed: str, now: float) -> Caller | None:
        """As `verify`, by the keys that are at hand."""
        return _verified(signed, self._keys.value(), now) if signed and self.are_at_hand else None

    def verify(self, signed: str, now: float) -> Caller | None:
        """As `signing.verify`, by any of the keys."""
        known = self._keys.value()
        return _verified(signed, known, now) or _verified(signed, self._learnt_since(known), now)

    def _learnt_since(self, known: tuple[bytes, ...]) -> list[bytes]:
        return [key for key in self._keys.value(LOOK_AGAIN_S) if key not in known]


def _verified(signed: str, keys: tuple[bytes, ...] | list[bytes], now: float) -> Caller | None:
    for key in keys:
        if caller := signing.verify(signed, key, now):
            return caller
    return None
