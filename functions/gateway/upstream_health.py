"""What requests have shown of the upstreams, and what the upstreams have shown of the requests.

What one request caused is not the upstream's health: its breaker opens on what several tenants saw. A body that an
upstream failed on more than once is refused for a while, and sent to no other; when the breaker opens it was the
upstream that failed, and the bodies are forgiven.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from enum import Enum

from shared.core.breaker import Breaker, BreakerState, Suspect
from shared.core.errors import InvalidRequest
from shared.core.repeated_failures import RepeatedFailures
from shared.core.routing import UpstreamTarget
from shared.web.asgi import look_into


class Failure(Enum):
    """What a failed attempt says of the upstream."""

    NONE = "none"
    """Nothing: it is busy, has a model to load, or refuses what the caller did wrong."""
    UNREACHABLE = "unreachable"
    """No connection was made, which says the same for every caller."""
    ADMITTED = "admitted"
    """It answered that it failed, with a server's error of its own in a 200."""
    OVERLOADED = "overloaded"
    """It says that it did not run the request (503)."""
    BAD_GATEWAY = "bad_gateway"
    """A proxy says that its server broke off, or is not there (502)."""
    FAILED = "failed"
    """It had the request, and broke off, stalled or answered with an error of its own."""


class BodyDigest:
    """Of a request's body, made when something has failed: most requests never need it."""

    __slots__ = ("_route", "content", "value")

    def __init__(self, route: str, content: bytes) -> None:
        self._route = route
        self.content = content
        self.value = b""
        """Empty until it was asked for."""

    async def made(self) -> bytes:
        if not self.value:
            self.value = await look_into(self.content, self._sha256)
        return self.value

    def _sha256(self) -> bytes:
        hashed = hashlib.sha256(self._route.encode() + b"\n")
        hashed.update(self.content)
        return hashed.digest()


class UpstreamHealth:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._breakers: defaultdict[UpstreamTarget, Breaker] = defaultdict(Breaker)
        self._bodies = RepeatedFailures()

    def breaker(self, target: UpstreamTarget) -> Breaker:
        return self._breakers[target]

    async def refuse_repeated(self, body: BodyDigest) -> None:
        """InvalidRequest while the body is one that upstreams failed on more than once."""
        if len(self._bodies) and (left_s := self._bodies.refused_for_s(await body.made(), self._now())):
            raise InvalidRequest(
                "The model's server failed each time it was sent this request. Change the request: as it is, it is not "
                f"sent again for {left_s:.0f} s.",
                code="request_fails_repeatedly",
                retry_after_s=left_s,
            )

    def is_refused(self, body: BodyDigest) -> bool:
        return bool(body.value) and self._bodies.refused_for_s(body.value, self._now()) > 0

    def answered(self, breaker: Breaker, body: BodyDigest) -> None:
        """The attempt came to its end."""
        breaker.record_success()
        if body.value:
            self._bodies.forget([body.value])

    async def failed(self, target: UpstreamTarget, tenant: str, body: BodyDigest, failure: Failure) -> None:
        breaker, now = self.breaker(target), self._now()
        if failure is Failure.NONE:
            breaker.record_success()
        elif failure in (Failure.UNREACHABLE, Failure.ADMITTED):
            breaker.record_failure(now)
        else:
            digest = await body.made()
            if breaker.state(now) is BreakerState.CLOSED and _blames_body(failure, breaker):
                self._bodies.add(digest, now)
            breaker.record_failure(now, Suspect(tenant, digest))
        if breaker.pause_left_s(now):
            self._bodies.forget(breaker.suspects)


def _blames_body(failure: Failure, breaker: Breaker) -> bool:
    """A proxy whose server is down says the same to every caller: it blames the body only right after an answer."""
    return failure is Failure.FAILED or (failure is Failure.BAD_GATEWAY and not breaker.has_failures)
