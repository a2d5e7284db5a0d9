"""DELETE /api/v1/keys/{id}: revokes a managed key. Revoking twice changes nothing."""

from functions.routes.context import Context
from functions.routes.keys_create import require_within
from functions.routes.keys_get import view
from shared.core.managed_keys import ManagedKey, revoke
from shared.keys import changes as key_changes
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    def edit(key: ManagedKey, now: float) -> ManagedKey:
        require_within(incoming.caller, key, context)
        return revoke(key, now)

    key = key_changes.change(context.ports.store, incoming.params["id"], incoming.caller.key_id, edit)
    return Reply.json(view(key, context, context.ports.clock.now()))
