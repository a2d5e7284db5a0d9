"""GET /api/v1/quarantine: the documents that were set aside, because schedules failed on them again and again."""

from typing import Any

from functions.routes.context import Context
from functions.routes.lists import cursor_list
from shared.sweeps.quarantine import Mark
from shared.web.incoming import Incoming, page_size
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    page = context.quarantine.list(page_size(incoming.query), incoming.query.get("after", ""))
    return cursor_list([view(mark) for mark in page.items], page.next_cursor)


def view(mark: Mark) -> dict[str, Any]:
    return {
        "id": mark.id,
        "object": "quarantined_document",
        "collection": mark.collection,
        "document": mark.key,
        "schedule": mark.schedule,
        "reason": mark.reason,
        "failures": mark.failures,
        "first_failed_at": mark.first_at,
        "quarantined_at": mark.quarantined_at,
    }
