"""Pairs of keys for signed callers, and what the gateway would sign with them."""

import secrets
from urllib.parse import unquote, urlsplit

from local.credentials import new_private_key, public_key
from shared import manifest
from shared.core.errors import MethodNotAllowed, NotFound
from shared.core.keys import Caller
from shared.keys.caller_keys import PRIVATE, PUBLIC, CallerSigningKey, CallerVerifier
from shared.keys.caller_token import Call
from shared.manifest import Router
from shared.ports.clock import Clock
from shared.web.door import INTERNAL_PREFIX
from tests.fakes import FakeSecrets

PRIVATE_KEY, OTHER_PRIVATE_KEY = new_private_key(), new_private_key()
PUBLIC_KEY, OTHER_PUBLIC_KEY = public_key(PRIVATE_KEY), public_key(OTHER_PRIVATE_KEY)
SIGNING = {PRIVATE: PRIVATE_KEY, PUBLIC: PUBLIC_KEY}
"""Secrets of a stack."""
ROUTER = Router(manifest.load())


def signed(caller: Caller, call: Call, now: float, *, body: bytes | None = None, private_key: str = PRIVATE_KEY) -> str:
    """A token for one call of a function; without a body, as for the worker, for many."""
    signer = CallerSigningKey(FakeSecrets(**{PRIVATE: private_key})).signer()
    return signer.sign(caller, call, now, body=body, once="" if body is None else secrets.token_urlsafe(16))


def caller_in(token: str, call: Call, clock: Clock, public_keys: str = PUBLIC_KEY) -> Caller | None:
    """Whom a receiver with these public keys takes it for."""
    verified = CallerVerifier(FakeSecrets(**{PUBLIC: public_keys}), clock).verify(token, call)
    return verified.caller if verified else None


def function_token(
    caller: Caller, method: str, url: str, now: float, *, body: bytes = b"", private_key: str = PRIVATE_KEY
) -> str:
    """What the gateway sends along with a call of the function that has this path."""
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix(INTERNAL_PREFIX)
    try:
        name = ROUTER.find(method, path)[0].name
    except (NotFound, MethodNotAllowed):
        name = "none"
    return signed(caller, Call(name, method, path, parts.query), now, body=body, private_key=private_key)
