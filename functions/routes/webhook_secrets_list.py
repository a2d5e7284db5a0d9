"""GET /api/v1/webhooks/secrets: what signs the tenant's webhooks now, newest first."""

from functions.routes.context import Context
from functions.routes.webhook_secrets_create import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    held = context.webhooks.secrets.list(incoming.caller.tenant, context.ports.clock.now())
    return Reply.json({"object": "list", "data": [view(secret) for secret in held]})
