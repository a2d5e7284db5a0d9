"""How the local stack's own processes come in to tasks and schedules. In the cloud an ID token does this."""

import secrets
from urllib.parse import urlsplit

from shared import manifest
from shared.core.errors import MethodNotAllowed, NotFound
from shared.core.keys import SYSTEM
from shared.keys.caller_keys import CallerSigningKey
from shared.keys.caller_token import HEADER, WORKER, Call
from shared.manifest import Router
from shared.ports.clock import Clock
from shared.web.door import INTERNAL_PREFIX

WORKER_PATH = "/tasks/run"


class SystemCalls:
    def __init__(self, key: CallerSigningKey, clock: Clock) -> None:
        self._key = key
        self._now = clock.now
        self._router = Router(route for route in manifest.load() if route.kind in ("task", "schedule"))

    def header(self, url: str, body: bytes) -> tuple[str, str]:
        """For a POST to a task's or a schedule's URL."""
        path = urlsplit(url).path.removeprefix(INTERNAL_PREFIX)
        call, once = Call(self._audience(path), "POST", path), secrets.token_urlsafe(16)
        return HEADER, self._key.signer().sign(SYSTEM, call, self._now(), body=body, once=once)

    def _audience(self, path: str) -> str:
        if path == WORKER_PATH:
            return WORKER
        try:
            return self._router.find("POST", path)[0].name
        except (NotFound, MethodNotAllowed):  # an address of an earlier version, where no call is valid
            return ""
