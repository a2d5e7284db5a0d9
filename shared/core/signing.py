"""The signed caller: how the gateway tells a function or the worker who is asking.

`x-omni-caller` is `<base64url JSON>.<base64url HMAC-SHA256>`, good for 60 s. Only processes that hold the signing
key can make one, and the gateway drops every `x-omni-*` header that comes from outside.
"""

import base64
import binascii
import hashlib
import hmac
import json

from shared.core.budgets import Budget
from shared.core.keys import Caller, Scope, Tier

HEADER = "x-omni-caller"
LIFETIME_S = 60


def sign(caller: Caller, key: bytes, now: float) -> str:
    """The header's value for `caller`; `now` in seconds since 1970."""
    claims = {
        "key_id": caller.key_id,
        "tenant": caller.tenant,
        "tier": caller.tier,
        "scopes": sorted(caller.scopes),
        "rpm": caller.requests_per_minute,
        "models": None if caller.models is None else sorted(caller.models),
        "budget": None if caller.budget is None else [caller.budget.daily, caller.budget.monthly],
        "exp": int(now) + LIFETIME_S,
    }
    payload = base64.urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode())
    return f"{payload.decode()}.{_mac(payload, key).decode()}"


def verify(value: str, key: bytes, now: float) -> Caller | None:
    """The caller a header names, or None when it is malformed, forged or older than 60 s."""
    payload, _, mac = value.encode("latin-1", "replace").partition(b".")
    if not hmac.compare_digest(mac, _mac(payload, key)):
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload))
        if claims["exp"] < now:
            return None
        scopes = frozenset(Scope(scope) for scope in claims["scopes"])
        models = None if claims["models"] is None else frozenset(claims["models"])
        budget = None if claims["budget"] is None else Budget(*claims["budget"])
        tier = Tier(claims["tier"])
        return Caller(claims["key_id"], claims["tenant"], tier, scopes, claims["rpm"], models=models, budget=budget)
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None


def _mac(payload: bytes, key: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.new(key, payload, hashlib.sha256).digest())
