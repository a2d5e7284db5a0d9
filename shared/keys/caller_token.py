"""The signed caller: how the gateway says on whose behalf it calls a function or the worker.

`x-omni-caller` is a JSON Web Signature in compact form (RFC 7515) with Ed25519 (`EdDSA`, RFC 8037). Only the gateway
has the private key; functions and worker have the public ones, so they can verify a caller and cannot make one. A
token is good for one receiver, method, path and query, for 60 s at most; one that is made for a single call also names
its body and has an id, by which its receiver refuses it the second time.

A verifier finds the public key by the whole protected header that a signature of that key has. So no algorithm, type or
key id that a header might claim instead is ever looked at.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from shared.core.keys import Caller

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

HEADER = "x-omni-caller"
LIFETIME_S = 60
SKEW_S = 5
"""How far the receiver's clock may be behind the gateway's."""
WORKER = "worker"
"""The audience of calls to the worker; of calls to a function it is the route's name."""
ISSUER = "omni"
TYPE = "omni-caller"


@dataclass(frozen=True, slots=True)
class Call:
    """What a token is good for."""

    audience: str
    method: str
    path: str
    """Decoded, without `/internal`."""
    query: str = ""
    """As it goes over the wire."""

    @property
    def digest(self) -> str:
        call = f"{self.method}\n{self.path}\n{self.query}"
        return _base64(hashlib.sha256(call.encode("utf-8", "replace")).digest())


NOT_CARRIED = frozenset({"networks"})
"""Fields of a caller that the gateway has done with: it has checked where the request comes from."""
_HINTS = get_type_hints(Caller)
_CARRIED = tuple(field.name for field in fields(Caller) if field.name not in NOT_CARRIED)
CallerClaims: Any = msgspec.defstruct("CallerClaims", [(name, _HINTS[name]) for name in _CARRIED], frozen=True)
"""All other fields; none may be missing."""


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    iss: str
    aud: str
    iat: float
    exp: float
    call: str
    """Digest of method, path and query."""
    caller: CallerClaims
    body: str | None = None
    """Digest of the body; None: not bound."""
    jti: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good token says."""

    caller: Caller
    body: str | None
    once: str | None
    expires_at: float


class Signer:
    """A private key, ready to sign."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self._header = protected_header(private.public_key())

    def sign(self, caller: Caller, call: Call, now: float, *, body: bytes | None = None, once: str = "") -> str:
        """The header's value; `now` in seconds since 1970. `once` is an id that no other token has."""
        carried = CallerClaims(*(getattr(caller, name) for name in _CARRIED))
        bound = None if body is None else body_digest(body)
        claims = Claims(ISSUER, call.audience, now, now + LIFETIME_S, call.digest, carried, bound, once or None)
        signed = f"{self._header}.{_base64(_encode(claims))}"
        return f"{signed}.{_base64(self._private.sign(signed.encode()))}"


def verify(value: str, keys: "Mapping[str, Ed25519PublicKey]", call: Call, now: float) -> Verified | None:
    """What a token says, by the public key (of those by their protected header) that it is signed with. None when it is
    malformed or forged, made for another call, too old or of the future."""
    signed, _, signature = value.rpartition(".")
    header, _, payload = signed.partition(".")
    key = keys.get(header)
    if key is None:
        return None
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(_exactly(signature), signed.encode())
        claims = _decode(_bytes(payload))
    except (InvalidSignature, ValueError):
        return None
    if (claims.iss, claims.aud, claims.call) != (ISSUER, call.audience, call.digest):
        return None
    if not claims.iat - SKEW_S <= now <= claims.exp:
        return None
    caller = Caller(**{name: getattr(claims.caller, name) for name in _CARRIED})
    return Verified(caller, claims.body, claims.jti, claims.exp)


def protected_header(key: "Ed25519PublicKey") -> str:
    """Of every token that is signed by the key's owner; its `kid` is the key's thumbprint (RFC 7638)."""
    x = _base64(key.public_bytes_raw())
    thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return _base64(f'{{"alg":"EdDSA","typ":"{TYPE}","kid":"{_base64(thumbprint)}"}}'.encode())


def body_digest(body: bytes) -> str:
    return _base64(hashlib.sha256(body).digest())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _exactly(text: str) -> bytes:
    """The bytes; ValueError for another spelling of them, so that a token has one only."""
    value = _bytes(text)
    if _base64(value) != text:
        raise ValueError("not canonical")
    return value


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Claims).decode
