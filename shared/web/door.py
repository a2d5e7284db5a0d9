"""Who may come in: the first thing a function or the worker does with a request.

Behind the gateway (`RUN_AS_INTERNAL=1`) the caller is whom the gateway signed, and limits were kept there. Facing the
public, the key is checked and counted here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared import admission
from shared.core import signing
from shared.core.errors import Unauthenticated
from shared.core.keys import Caller
from shared.identity import Authenticator, presented_key
from shared.ports.clock import Clock
from shared.ports.limiter import Limiter
from shared.ports.secrets import Secrets
from shared.settings import Settings, SettingsError

INTERNAL_PREFIX = "/internal"


@dataclass(frozen=True, slots=True)
class Entry:
    caller: Caller
    headers: list[tuple[str, str]]
    """For the answer: where the caller stands with its limits."""


class Door:
    def __init__(
        self, settings: Settings, signing_key: bytes, authenticator: Authenticator, limiter: Limiter, clock: Clock
    ) -> None:
        self._internal = settings.run_as_internal
        self._signing_key = signing_key
        self._authenticator = authenticator
        self._limiter = limiter
        self._clock = clock

    def path(self, path: str) -> str:
        """The path to route by: without `/internal` when behind the gateway."""
        if self._internal and path.startswith(INTERNAL_PREFIX + "/"):
            return path[len(INTERNAL_PREFIX) :]
        return path

    def enter(self, headers: Mapping[str, str]) -> Entry:
        """The caller behind a request's headers (names in lower case); Unauthenticated or RateLimited."""
        if signed := headers.get(signing.HEADER, ""):
            caller = signing.verify(signed, self._signing_key, self._clock.now())
            if caller is None:
                raise Unauthenticated("The signed caller is malformed, forged or too old.")
            return Entry(caller, [])
        if self._internal:
            raise Unauthenticated("This address is behind the gateway and needs a signed caller.")
        caller = self._authenticator.authenticate(
            presented_key(headers.get("authorization", ""), headers.get("x-api-key", ""))
        )
        grant = admission.admit(self._limiter, caller)
        if not grant.granted:
            raise admission.refusal(grant)
        return Entry(caller, admission.limit_headers(grant))


def signing_key(secrets: Secrets) -> bytes:
    """The key that signs callers; SettingsError when there is none, since nothing could be trusted then."""
    if not (text := secrets.get("OMNI_SIGNING_KEY")):
        raise SettingsError("OMNI_SIGNING_KEY is missing: the gateway signs callers with it, functions check them")
    return text.encode()
