"""GET /api/v1/jobs: the tenant's jobs, newest first, narrowed by `state`, `task`, `error` and `metadata[key]`."""

import re
from collections.abc import Mapping

from functions.routes.context import Context
from functions.routes.lists import cursor_list
from shared.core.errors import InvalidRequest
from shared.core.jobs import State
from shared.jobs.orders import JobFilter
from shared.jobs.view import view
from shared.web.incoming import Incoming, page_size
from shared.web.reply import Reply

METADATA = re.compile(r"metadata\[(.{1,64})\]", re.DOTALL)


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = _filter(incoming.query)
    after = incoming.query.get("after", "")
    page = context.jobs.list(incoming.caller.tenant, wanted, page_size(incoming.query), after)
    return cursor_list([view(job) for job in page.items], page.next_cursor)


def _filter(query: Mapping[str, str]) -> JobFilter:
    metadata = {found[1]: value for name, value in query.items() if (found := METADATA.fullmatch(name))}
    for name in query:
        if name.startswith("metadata") and not METADATA.fullmatch(name):
            raise InvalidRequest(f"Lists of jobs know no '{name[:100]}'.", param=name[:100])
    return JobFilter(_state(query.get("state")), query.get("task", ""), metadata, query.get("error", ""))


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        raise InvalidRequest(f"'state' must be one of: {', '.join(State)}.", param="state") from None
