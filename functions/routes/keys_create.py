"""POST /api/v1/keys: makes a managed key. Its text leaves the platform in this answer and is kept nowhere."""

import secrets
from typing import Any

from functions.routes.context import Context
from functions.routes.keys_get import view
from shared.core.delegation import excess
from shared.core.errors import InvalidRequest, PermissionDenied, Unavailable
from shared.core.keys import Caller, Scope, Tier, mint, new_id, peppered
from shared.core.managed_keys import ManagedKey, TextHash, credential
from shared.keys import changes as key_changes
from shared.ports.secrets import Secrets
from shared.secret import newest_first
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.keys import KeyRequest, KeyTerms
from shared.web.validation import parse


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(KeyRequest, incoming.body, context.settings.max_json_depth)
    chosen = terms(wanted, wanted.model_fields_set | {"name", "tier", "scopes"}, context.ports.clock.now())
    key_id = new_id(secrets.choice)
    text, hashed = new_text(key_id, context.ports.secrets)

    def make(now: float) -> ManagedKey:
        key = ManagedKey(
            id=key_id,
            tenant=wanted.tenant,
            texts=(TextHash(hashed),),
            created_at=now,
            created_by=incoming.caller.key_id,
            **chosen,
        )
        require_within(incoming.caller, key, context)
        return key

    key = key_changes.create(context.ports.store, make)
    return Reply.json(view(key, context, key.created_at) | {"key": text}, 201)


def require_within(maker: Caller, key: ManagedKey, context: Context) -> None:
    """PermissionDenied (code `exceeds_own_key`) naming the field in which the key has more than who asks for it."""
    limits = context.limits
    if field := excess(maker, limits.of_key(maker), key, limits.of_key(credential(key).caller)):
        raise PermissionDenied(
            f"This key may not make or change keys that have more than itself; '{field}' is more.",
            param=field,
            code="exceeds_own_key",
        )


def new_text(key_id: str, source: Secrets) -> tuple[str, str]:
    """A new text for the key, and the hash of it that is kept; Unavailable without a pepper."""
    for pepper in newest_first(source.get("OMNI_KEY_PEPPER")):
        text = mint(key_id, pepper, secrets.choice)
        return text, peppered(text, pepper)
    raise Unavailable("Managed keys need the secret OMNI_KEY_PEPPER, which is not set.", code="no_pepper")


def terms(wanted: KeyTerms, names: set[str], now: float) -> dict[str, Any]:
    """The named fields as a key holds them; InvalidRequest when it would have expired already."""
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise InvalidRequest("'expires_at' should be in the future.", param="expires_at", code="invalid_value")
    values = {
        "name": wanted.name,
        "tier": Tier(wanted.tier),
        "scopes": frozenset(Scope(scope) for scope in wanted.scopes),
        "requests_per_minute": wanted.requests_per_minute,
        "tokens_per_minute": wanted.tokens_per_minute,
        "concurrent_requests": wanted.concurrent_requests,
        "requests_per_day": wanted.requests_per_day,
        "strict": wanted.strict,
        "budget": None if wanted.budget is None else wanted.budget.as_budget(),
        "models": None if wanted.models is None else frozenset(wanted.models),
        "ips": tuple(wanted.ips),
        "metadata": wanted.metadata,
        "expires_at": wanted.expires_at,
    }
    return {name: value for name, value in values.items() if name in names}
