"""GET /api/v1/usage: what the caller's tenant used; for platform admins, every tenant's."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from functions.routes.context import Context
from shared.core.budgets import day_of
from shared.core.errors import InvalidRequest
from shared.core.pricing import NANO
from shared.core.usage import Grouping, Slice, Sums
from shared.keys.delegation import named_tenant
from shared.money.usage import UsageRecords
from shared.web.incoming import Incoming
from shared.web.reply import Reply

DEFAULT_DAYS = 30
MOST_DAYS = 400
EARLIEST = date(2000, 1, 1)


def handle(incoming: Incoming, context: Context) -> Reply:
    group = _grouping(incoming.query.get("group", "day"))
    last = _day(incoming.query, "to", date.fromisoformat(day_of(context.ports.clock.now())))
    first = _day(incoming.query, "from", last - timedelta(days=DEFAULT_DAYS - 1))
    if not timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
        raise InvalidRequest(f"'from' must be before 'to', and at most {MOST_DAYS} days.", param="from")
    records = UsageRecords(context.ports.store, context.settings.usage_days)
    tenant = named_tenant(incoming.caller, incoming.query)
    found = records.sums(first.isoformat(), last.isoformat(), tenant)
    storage = context.files.storage
    return Reply.json(
        {
            "object": "usage",
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
            "group": group,
            "data": [{"key": key, **_view(sums)} for key, sums in _grouped(found, group)],
            "total": _view(sum(found.values(), Sums())),
            "storage": {"bytes": storage.used(tenant or incoming.caller.tenant), "limit_bytes": storage.most or None},
        }
    )


def _grouped(found: Mapping[Slice, Sums], group: Grouping) -> list[tuple[str, Sums]]:
    by_key: dict[str, Sums] = {}
    for whose, sums in found.items():
        key = group.of(whose)
        by_key[key] = by_key.get(key, Sums()) + sums
    if group is Grouping.DAY:
        return sorted(by_key.items())
    return sorted(by_key.items(), key=lambda item: (-item[1].cost, -item[1].requests, item[0]))


def _view(sums: Sums) -> dict[str, Any]:
    return {
        "requests": sums.requests,
        "failed": sums.failed,
        "answered_from_cache": sums.answered_from_cache,
        "prompt_tokens": sums.tokens_in,
        "cached_prompt_tokens": sums.tokens_cached,
        "completion_tokens": sums.tokens_out,
        "cost_usd": sums.cost / NANO,
        "unpriced_requests": sums.unpriced,
    }


def _grouping(text: str) -> Grouping:
    if text not in set(Grouping):
        raise InvalidRequest(f"'group' must be one of: {', '.join(Grouping)}.", param="group")
    return Grouping(text)


def _day(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name, "")
    if not text:
        return default
    try:
        if (found := date.fromisoformat(text)) >= EARLIEST:
            return found
    except ValueError:
        pass
    raise InvalidRequest(f"'{name}' must be a day since {EARLIEST}, as in 2026-11-24.", param=name)
