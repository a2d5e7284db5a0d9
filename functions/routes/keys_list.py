"""GET /api/v1/keys: the managed keys of the caller's tenant, for platform admins those of all, newest first."""

from typing import Any

from functions.routes.context import Context
from functions.routes.keys_get import view
from functions.routes.lists import cursor_list
from shared.core.managed_keys import from_document
from shared.keys.delegation import named_tenant
from shared.pages import listed
from shared.ports.store import Document, Operator, Query
from shared.web.incoming import Incoming, page_size
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    tenant, now = named_tenant(incoming.caller, incoming.query), context.ports.clock.now()
    where: tuple[tuple[str, Operator, Any], ...] = (("tenant", "==", tenant),) if tenant else ()
    query = Query("keys", where, "created_at", descending=True, cursor=incoming.query.get("after", ""))

    def shown(document: Document) -> dict[str, Any]:
        return view(from_document(document), context, now)

    page = listed(context.ports.store, query, page_size(incoming.query), shown)
    return cursor_list(page.items, page.next_cursor)
