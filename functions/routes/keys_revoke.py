"""DELETE /api/v1/keys/{id}: revokes a managed key. Revoking twice changes nothing."""

from functions.routes.context import Context
from functions.routes.keys_create import view
from shared.core.errors import NotFound
from shared.ports.store import Document, Transaction
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    key_id = incoming.params["id"]

    def revoke(transaction: Transaction) -> Document:
        document = transaction.get("keys", key_id)
        if document is None:
            raise NotFound(f"There is no key '{key_id[:100]}'.", param="id")
        if document["revoked_at"] is None:
            document["revoked_at"] = transaction.now
            transaction.put("keys", key_id, document)
        return document

    return Reply.json(view(context.ports.store.transact(revoke)))
