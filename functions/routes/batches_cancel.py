"""POST /v1/batches/{id}/cancel: stops a batch; what is answered by then stays."""

from functions.routes.batches_get import view
from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    batch = context.batches.cancel(incoming.caller.tenant, incoming.params["id"])
    return Reply.json(view(batch, context.batches.counts(batch)))
