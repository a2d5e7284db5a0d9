"""GET /v1/files: the tenant's files, a page at a time, the last id of one page being the cursor of the next."""

from functions.routes.context import Context
from functions.routes.files_get import view
from functions.routes.lists import id_list
from shared.core.errors import InvalidRequest
from shared.files.files import PURPOSES
from shared.web.incoming import Incoming, page_size
from shared.web.reply import Reply

KNOWN = {"limit", "after", "order", "purpose"}
MOST = 10_000
"""Files of a page, and as many without a `limit`, as OpenAI has it."""


def handle(incoming: Incoming, context: Context) -> Reply:
    query = incoming.query
    if unknown := sorted(query.keys() - KNOWN):
        raise InvalidRequest(f"Lists of files know no '{unknown[0][:100]}'.", param=unknown[0][:100])
    purpose, order = query.get("purpose", ""), query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise InvalidRequest("'order' must be 'asc' or 'desc'.", param="order")
    if "purpose" in query and purpose not in PURPOSES:
        raise InvalidRequest(f"'purpose' must be one of: {', '.join(PURPOSES)}.", param="purpose")
    limit = page_size(query, default=MOST, most=MOST)
    page = context.files.list(
        incoming.caller.tenant, purpose, limit, query.get("after", ""), newest_first=order == "desc"
    )
    return id_list([view(file) for file in page.items], has_more=page.has_more)
