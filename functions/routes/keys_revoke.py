"""DELETE /api/v1/keys/{id}: revokes a managed key, and ends its work. Revoking twice changes nothing."""

from functions.routes.context import Context
from functions.routes.keys_create import delegation_of
from functions.routes.keys_get import view
from shared.core.managed_keys import ManagedKey, revoke
from shared.keys import changes as key_changes
from shared.keys.delegation import require_in_reach
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    delegation = delegation_of(incoming.caller, context)

    def edit(key: ManagedKey, now: float) -> ManagedKey:
        require_in_reach(incoming.caller, key)
        delegation.require_within(key)
        return revoke(key, now)

    key = key_changes.change(context.ports.store, incoming.params["id"], incoming.caller.key_id, edit)
    context.batches.end_with_key(key.tenant, key.id)
    return Reply.json(view(key, context, context.ports.clock.now()))
