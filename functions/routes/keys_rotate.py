"""POST /api/v1/keys/{id}/rotate: gives a key a new text, shown this once. The older ones work on for `overlap_s`."""

from functions.routes.context import Context
from functions.routes.keys_create import delegation_of, new_text
from functions.routes.keys_get import view
from shared.core import managed_keys
from shared.core.managed_keys import ManagedKey
from shared.keys import changes as key_changes
from shared.keys.delegation import require_in_reach
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.keys import KeyRotation
from shared.web.validation import parse


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(KeyRotation, incoming.body or b"{}", context.settings.max_json_depth)
    key_id = incoming.params["id"]
    text, hashed = new_text(key_id, context.ports.secrets)
    delegation = delegation_of(incoming.caller, context)

    def edit(key: ManagedKey, now: float) -> ManagedKey:
        require_in_reach(incoming.caller, key)
        delegation.require_within(key)
        return managed_keys.rotate(key, hashed, wanted.overlap_s, now)

    key = key_changes.change(context.ports.store, key_id, incoming.caller.key_id, edit)
    return Reply.json(view(key, context, context.ports.clock.now()) | {"key": text})
