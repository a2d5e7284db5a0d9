"""POST /api/v1/webhooks/deliveries/{id}/redeliver: sends it once more, whatever came of it before."""

from functions.routes.context import Context
from functions.routes.webhooks_get import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    delivery = context.webhooks.redeliver(incoming.caller.tenant, incoming.params["id"])
    return Reply.json(view(delivery), 202, [("location", f"/api/v1/webhooks/deliveries/{delivery.id}")])
