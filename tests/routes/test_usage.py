"""Usage: each tenant sees its own, platform admins see every tenant's, and every row counts once."""

from dataclasses import replace
from typing import Any

import pytest

from shared.core.keys import SYSTEM, Caller, Scope
from shared.core.usage import UsageRow
from shared.money.usage import UsageRecords
from tests.routes.conftest import ACME, ADMIN, Routes, problem

USAGE = "/internal/api/v1/usage"
ROLL_UP = "/internal/schedules/usage-rollup"
NOON = 1_796_126_400.0
"""2026-12-01."""
RANGE = "from=2026-11-01&to=2026-12-31"


def row(**fields: Any) -> UsageRow:
    plain: dict[str, Any] = {
        "at": NOON,
        "request_id": "r1",
        "tenant": "acme",
        "key_id": "k1",
        "route": "chat_completions",
        "model": "org/m",
        "status": 200,
        "tokens_in": 100,
        "tokens_cached": 10,
        "tokens_out": 50,
        "cost": 2_000_000,
        "ms": 12.5,
    }
    return UsageRow(**plain | fields)


@pytest.fixture
def records(routes: Routes) -> UsageRecords:
    records = UsageRecords(routes.ports.store, 30)
    records.add(
        "a", [row(), row(key_id="k2", model="other", cost=5_000_000), row(at=NOON - 86_400, status=502, cost=0)]
    )
    records.add("b", [row(tenant="rival", key_id="k9"), row(answered_from="cache", cost=0), row(cost=None)])
    return records


def told(routes: Routes, caller: Any = ACME, query: str = RANGE) -> dict[str, Any]:
    answer = routes.call("GET", f"{USAGE}?{query}", caller)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def costs(report: dict[str, Any]) -> list[tuple[str, int, float]]:
    return [(each["key"], each["requests"], each["cost_usd"]) for each in report["data"]]


def test_200_a_tenant_sees_its_own_by_day(routes: Routes, records: UsageRecords) -> None:
    report = told(routes)
    assert costs(report) == [("2026-11-30", 1, 0), ("2026-12-01", 4, 0.007)]
    assert report["total"] == {
        "requests": 5,
        "failed": 1,
        "answered_from_cache": 1,
        "prompt_tokens": 400,
        "cached_prompt_tokens": 50,
        "completion_tokens": 200,
        "cost_usd": 0.007,
        "unpriced_requests": 1,
    }


@pytest.mark.parametrize(
    ("group", "found"),
    [
        ("model", [("other", 1, 0.005), ("org/m", 4, 0.002)]),
        ("key", [("k2", 1, 0.005), ("k1", 4, 0.002)]),
        ("tenant", [("acme", 5, 0.007)]),
    ],
)
def test_200_sums_are_told_by_whatever_is_asked_for(
    routes: Routes, records: UsageRecords, group: str, found: list[tuple[str, int, float]]
) -> None:
    assert costs(told(routes, query=f"{RANGE}&group={group}")) == found


@pytest.mark.parametrize("caller", [ACME, replace(ACME, scopes=ACME.scopes | {Scope.ADMIN})])
def test_403_another_tenant_s_also_for_an_admin(routes: Routes, records: UsageRecords, caller: Caller) -> None:
    assert costs(told(routes, caller, f"{RANGE}&group=tenant")) == [("acme", 5, 0.007)]
    refused = routes.call("GET", f"{USAGE}?tenant=rival", caller)
    assert problem(refused) == (403, "permission_denied", "tenant")


def test_200_a_platform_admin_sees_every_tenant_s_or_one_s(routes: Routes, records: UsageRecords) -> None:
    assert costs(told(routes, ADMIN, f"{RANGE}&group=tenant")) == [("acme", 5, 0.007), ("rival", 1, 0.002)]
    assert costs(told(routes, ADMIN, f"{RANGE}&group=tenant&tenant=rival")) == [("rival", 1, 0.002)]


def test_200_days_outside_the_range_do_not_count(routes: Routes, records: UsageRecords) -> None:
    assert told(routes, query="from=2026-11-30&to=2026-11-30")["total"]["requests"] == 1


def test_200_summing_up_changes_nothing_that_is_told(routes: Routes, records: UsageRecords) -> None:
    before = told(routes, ADMIN)
    first = routes.call("POST", ROLL_UP, SYSTEM).get_json()
    assert (first["examined"], first["changed"], first["complete"]) == (2, 2, True)
    assert told(routes, ADMIN) == before
    assert routes.call("POST", ROLL_UP, SYSTEM).get_json()["changed"] == 0
    records.add("c", [row()])
    assert told(routes, ADMIN)["total"]["requests"] == before["total"]["requests"] + 1
    routes.call("POST", ROLL_UP, SYSTEM)
    assert told(routes, ADMIN)["total"]["requests"] == before["total"]["requests"] + 1


def test_rows_that_are_written_twice_count_once(routes: Routes, records: UsageRecords) -> None:
    before = told(routes, ADMIN)
    records.add("a", [row()])
    assert told(routes, ADMIN) == before


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("from=2026-12-02&to=2026-12-01", "from"),
        ("from=2020-01-01&to=2026-12-01", "from"),
        ("from=0001-01-01&to=0001-01-01", "to"),
        ("to=0001-01-05", "to"),
        ("group=colour", "group"),
    ],
)
def test_400_what_cannot_be_asked_names_the_parameter(routes: Routes, query: str, param: str) -> None:
    answer = routes.call("GET", f"{USAGE}?{query}", ACME)
    assert problem(answer) == (400, "invalid_request", param)
