"""GET /api/v1/keys: the managed keys of the caller's tenant, for platform admins those of all, newest first."""

from functions.routes.context import Context
from functions.routes.keys_get import view
from shared.core.managed_keys import from_document
from shared.keys.delegation import named_tenant
from shared.ports.store import Query
from shared.web.incoming import Incoming, page_size
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    tenant, now = named_tenant(incoming.caller, incoming.query), context.ports.clock.now()
    page = context.ports.store.query(
        Query(
            "keys",
            where=(("tenant", "==", tenant),) if tenant else (),
            order_by="created_at",
            descending=True,
            limit=page_size(incoming.query),
            cursor=incoming.query.get("after", ""),
        )
    )
    return Reply.json(
        {
            "object": "list",
            "data": [view(from_document(document), context, now) for document in page.documents],
            "has_more": bool(page.next_cursor),
            "next_cursor": page.next_cursor or None,
        }
    )
