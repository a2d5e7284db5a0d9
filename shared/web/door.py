"""Who may come in: the first thing a function or the worker does with a request.

Behind the gateway (`RUN_AS_INTERNAL=1`) the caller is whom the gateway signed, and limits were kept there. Facing the
public, the key is checked and counted here.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from shared.core.addresses import Address, client_address
from shared.core.errors import OmniError, Unauthenticated, Unavailable
from shared.core.keys import Caller, Scope
from shared.core.quota import Ticket
from shared.keys.authentication import Authenticator, presented_key, require_network
from shared.keys.caller_keys import CallerVerifier
from shared.keys.caller_token import HEADER, Call, Verified, body_digest
from shared.limits.admission import MOST_ERRANDS, Admission, Errand
from shared.limits.guesses import Guesses
from shared.limits.policy import LimitPolicy
from shared.ports.clock import Clock
from shared.ports.limiter import Limiter
from shared.settings import Settings
from shared.web.system_door import SystemDoor

INTERNAL_PREFIX = "/internal"


@dataclass(frozen=True, slots=True)
class Entry:
    caller: Caller
    headers: list[tuple[str, str]]
    """For the answer: where the caller stands with its limits."""
    body_digest: str | None = None
    """Of the body that the gateway signed beside the caller; None when it signed none."""


class Door:
    def __init__(
        self,
        settings: Settings,
        verifier: CallerVerifier,
        authenticator: Authenticator,
        limiter: Limiter,
        clock: Clock,
        policy: LimitPolicy,
        system: SystemDoor | None = None,
    ) -> None:
        """`system` is how the platform comes in to tasks and schedules; None: with a signed caller, as in a local
        stack."""
        self._internal = settings.run_as_internal
        self._trusted_proxies = settings.trusted_proxies
        self._verifier = verifier
        self._authenticator = authenticator
        self._guesses = Guesses(settings.invalid_keys_per_minute, clock)
        self._admission = Admission(limiter, clock, policy)
        self._admitting = threading.Lock()
        self._on_errand = threading.Lock()
        self._system = system

    def path(self, path: str) -> str:
        """The path to route by: without `/internal` when behind the gateway."""
        if self._internal and path.startswith(INTERNAL_PREFIX + "/"):
            return path[len(INTERNAL_PREFIX) :]
        return path

    def remembered(self, headers: Mapping[str, str], call: Call, scope: Scope | None = None) -> Entry | None:
        """As `enter` for a caller whom the gateway signed, from memory alone; None when that cannot tell."""
        if self._system and scope is Scope.SYSTEM:
            return None
        verified = self._verifier.remembered(headers.get(HEADER, ""), call)
        return _entry(verified) if verified else None

    def enter(self, headers: Mapping[str, str], peer: str, call: Call, scope: Scope | None = None) -> Entry:
        """The caller behind a request's headers (names in lower case, lines of one name joined by commas) and the
        connection's other end, who asks for what needs that scope; Unauthenticated, PermissionDenied or RateLimited.
        A caller that the gateway signed is believed for the call that it was signed for."""
        if self._system and scope is Scope.SYSTEM:
            return Entry(self._system.enter(headers), [])
        if token := headers.get(HEADER, ""):
            verified = self._verifier.verify(token, call)
            if verified is None:
                raise Unauthenticated("The signed caller is not valid for this call.", code="invalid_caller")
            return _entry(verified)
        if self._internal:
            raise Unauthenticated("This address is behind the gateway and needs a signed caller.")
        address = client_address(peer, headers.get("x-forwarded-for", ""), self._trusted_proxies)
        caller = self._identify(headers, address)
        entry = Entry(caller, self._admit(caller))
        require_network(caller, lambda: address)  # a refusal counts, too
        return entry

    def _identify(self, headers: Mapping[str, str], address: Address | None) -> Caller:
        try:
            key = presented_key(headers.get("authorization", ""), headers.get("x-api-key", ""))
            return self._authenticator.authenticate(key)
        except Unauthenticated as refusal:
            raise self._guesses.answer(refusal, address) from None

    def _admit(self, caller: Caller) -> list[tuple[str, str]]:
        """Counts one request, and tells where the caller stands.

        Slots are given back at once: how many requests run at a time is the function's own setting.
        """
        with self._admitting:
            ticket = self._admission.ticket(caller)
            if self._errand(ticket) is None:
                return self._standing(ticket)
        with self._on_errand:  # one at a time, while others are admitted from memory
            for _ in range(MOST_ERRANDS):
                with self._admitting:
                    errand = self._errand(ticket)
                    if errand is None:
                        return self._standing(ticket)
                answer = errand.run()
                with self._admitting:
                    errand.deliver(answer)
        raise Unavailable("Too many requests ask for their limits at once.", retry_after_s=1)

    def _errand(self, ticket: Ticket) -> Errand | None:
        """None once the request is admitted. RateLimited, or Unavailable, tells where the caller stands."""
        try:
            missing = self._admission.take(ticket, ticket.quotas)
        except OmniError as error:
            error.headers = (*error.headers, *self._standing(ticket))
            raise
        return None if missing is None else self._admission.errand(missing)

    def _standing(self, ticket: Ticket) -> list[tuple[str, str]]:
        ticket.close()
        return [(name.decode(), value.decode()) for name, value in self._admission.headers(ticket)]


def require_signed_body(entry: Entry, body: bytes) -> None:
    """Unauthenticated when the gateway signed another body."""
    if entry.body_digest is not None and entry.body_digest != body_digest(body):
        raise Unauthenticated("The signed caller is not valid for this body.", code="invalid_caller")


def _entry(verified: Verified) -> Entry:
    return Entry(verified.caller, [], verified.body)
