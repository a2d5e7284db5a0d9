"""DELETE /api/v1/webhooks/secrets/{id}: for a secret that leaked."""

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    secret_id = incoming.params["id"]
    context.webhooks.secrets.delete(incoming.caller.tenant, secret_id)
    return Reply.json({"id": secret_id, "object": "webhook.secret", "deleted": True})
