"""GET /api/v1/keys/{id}: a managed key, without its text."""

from dataclasses import asdict

from functions.routes.context import Context
from shared.core.budgets import Budget
from shared.core.managed_keys import ManagedKey, credential
from shared.core.pricing import NANO
from shared.keys.changes import existing
from shared.keys.delegation import require_in_reach
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    key_id = incoming.params["id"]
    key = existing(context.ports.store.get("keys", key_id), key_id)
    require_in_reach(incoming.caller, key)
    return Reply.json(view(key, context, context.ports.clock.now()))


def view(key: ManagedKey, context: Context, now: float) -> dict[str, object]:
    """A key as its owner may see it, with the limits it has from its tier where it has none of its own."""
    caller = credential(key).caller
    return {
        "id": key.id,
        "object": "key",
        "name": key.name,
        "tenant": key.tenant,
        "tier": key.tier.value,
        "scopes": sorted(key.scopes),
        **asdict(context.limits.of_key(caller)),
        "budget": budget_view(context.budgets.of_key(caller)),
        "models": None if key.models is None else sorted(key.models),
        "ips": key.ips,
        "metadata": key.metadata,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "changed_at": key.changed_at,
        "changed_by": key.changed_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "older_texts_until": key.older_texts_until(now),
    }


def budget_view(budget: Budget) -> dict[str, float | None]:
    """In dollars."""
    return {
        "daily_usd": None if budget.daily is None else budget.daily / NANO,
        "monthly_usd": None if budget.monthly is None else budget.monthly / NANO,
    }
