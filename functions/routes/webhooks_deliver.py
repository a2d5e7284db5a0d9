"""POST /tasks/webhooks: makes one attempt. The answer is 200 however the attempt ends: its retries are in the store."""

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.webhooks import DeliveryWakeUp
from shared.web.validation import parse
from shared.webhooks.wakeups import WebhookWakeUp


def handle(incoming: Incoming, context: Context) -> Reply:
    wake_up = parse(DeliveryWakeUp, incoming.body, context.settings.max_json_depth)
    context.webhooks.deliver(WebhookWakeUp(**wake_up.model_dump()))
    return Reply.json({})
