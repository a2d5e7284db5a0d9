"""GET /api/v1/webhooks/deliveries: the delivery log, narrowed by `job` and `outcome`."""

from functions.routes.context import Context
from functions.routes.lists import cursor_list
from functions.routes.webhooks_get import view
from shared.core.errors import InvalidRequest
from shared.core.webhooks import State
from shared.web.incoming import Incoming, page_size
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    query = incoming.query
    if unknown := next((name for name in query if name not in incoming.route.query), None):
        raise InvalidRequest(f"Lists of deliveries know no '{unknown[:100]}'.", param=unknown[:100])
    page = context.webhooks.list(
        incoming.caller.tenant,
        query.get("job", ""),
        _state(query.get("outcome")),
        page_size(query),
        query.get("after", ""),
    )
    return cursor_list([view(delivery) for delivery in page.items], page.next_cursor)


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        raise InvalidRequest(f"'outcome' must be one of: {', '.join(State)}.", param="outcome") from None
