"""PATCH /api/v1/keys/{id}: changes what is named and leaves the rest. A revoked key stays as it is."""

from functions.routes.context import Context
from functions.routes.keys_create import delegation_of, terms
from functions.routes.keys_get import view
from shared.core import managed_keys
from shared.core.managed_keys import ManagedKey
from shared.keys import changes as key_changes
from shared.keys.delegation import require_in_reach
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.keys import KeyChange
from shared.web.validation import parse


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(KeyChange, incoming.body, context.settings.max_json_depth)
    now = context.ports.clock.now()
    chosen = terms(wanted, wanted.model_fields_set, now)
    delegation = delegation_of(incoming.caller, context)

    def edit(key: ManagedKey, _: float) -> ManagedKey:
        require_in_reach(incoming.caller, key)
        delegation.require_within(key)
        changed = managed_keys.change(key, chosen)
        delegation.require_within(changed)
        return changed

    key = key_changes.change(context.ports.store, incoming.params["id"], incoming.caller.key_id, edit)
    return Reply.json(view(key, context, now))
