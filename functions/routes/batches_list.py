"""GET /v1/batches: the tenant's batches, newest first, the last id of one page being the cursor of the next."""

from functions.routes.batches_get import view
from functions.routes.context import Context
from functions.routes.lists import id_list
from shared.web.incoming import Incoming, page_size
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    batches = context.batches
    page = batches.list(incoming.caller.tenant, page_size(incoming.query), incoming.query.get("after", ""))
    return id_list([view(batch, batches.counts(batch)) for batch in page.items], has_more=page.has_more)
