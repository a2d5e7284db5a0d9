"""POST /api/v1/keys: makes a managed key. Its text leaves the platform in this answer and is kept nowhere."""

import secrets
from typing import Any

from functions.routes.context import Context
from functions.routes.keys_get import view
from shared.core.errors import InvalidRequest, Unavailable
from shared.core.keys import Caller, Scope, Tier, mint, new_id, peppered
from shared.core.managed_keys import ManagedKey, TextHash
from shared.keys import changes as key_changes
from shared.keys.delegation import Delegation, acts_everywhere
from shared.ports.secrets import Secrets
from shared.secret import newest_first
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.keys import KeyRequest, KeyTerms
from shared.web.validation import parse

DEFAULT_TENANT = "default"


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(KeyRequest, incoming.body, context.settings.max_json_depth)
    chosen = terms(wanted, wanted.model_fields_set | {"name", "tier", "scopes"}, context.ports.clock.now())
    key_id = new_id(secrets.choice)
    text, hashed = new_text(key_id, context.ports.secrets)
    tenant = wanted.tenant or _default_tenant(incoming.caller)
    delegation = delegation_of(incoming.caller, context)

    def make(now: float) -> ManagedKey:
        key = ManagedKey(
            id=key_id,
            tenant=tenant,
            texts=(TextHash(hashed),),
            created_at=now,
            created_by=incoming.caller.key_id,
            **chosen,
        )
        delegation.require_within(key)
        return key

    key = key_changes.create(context.ports.store, make)
    return Reply.json(view(key, context, key.created_at) | {"key": text}, 201)


def delegation_of(caller: Caller, context: Context) -> Delegation:
    """What the caller's key may hand on; Unauthenticated when it has ended meanwhile."""
    return Delegation.by(caller, context.ports.store, context.limits, context.budgets, context.ports.clock.now())


def _default_tenant(caller: Caller) -> str:
    return DEFAULT_TENANT if acts_everywhere(caller) else caller.tenant


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
