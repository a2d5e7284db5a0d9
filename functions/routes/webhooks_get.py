"""GET /api/v1/webhooks/deliveries/{id}: a delivery of the caller's tenant."""

from typing import Any

from functions.routes.context import Context
from shared.core.webhooks import Delivery
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    delivery = context.webhooks.get(incoming.caller.tenant, incoming.params["id"])
    return Reply.json(view(delivery) | {"payload": delivery.payload})


def view(delivery: Delivery) -> dict[str, Any]:
    """Without the payload, which may be long."""
    return {
        "id": delivery.id,
        "object": "webhook.delivery",
        "job_id": delivery.job_id,
        "event": delivery.event,
        "url": delivery.url,
        "state": delivery.state,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.next_attempt_at,
        "attempts": delivery.attempts,
    }
