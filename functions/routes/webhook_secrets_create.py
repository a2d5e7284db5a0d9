"""POST /api/v1/webhooks/secrets: makes a signing secret. Its text leaves the platform in this answer only."""

from typing import Any

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.webhooks import WebhookSecretRequest
from shared.web.validation import parse
from shared.webhooks.secrets import SigningSecret


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(WebhookSecretRequest, incoming.body or b"{}", context.settings.max_json_depth)
    made, text = context.webhooks.secrets.add(incoming.caller.tenant, wanted.expire_others_after_s)
    return Reply.json(view(made) | {"secret": text}, 201)


def view(secret: SigningSecret) -> dict[str, Any]:
    return {
        "id": secret.id,
        "object": "webhook.secret",
        "created_at": secret.created_at,
        "expires_at": secret.expires_at,
    }
