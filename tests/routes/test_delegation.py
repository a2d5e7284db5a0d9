"""A key hands on what it has and no more, whichever way it is tried."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.budgets import Budget
from shared.core.delegation import RANK, excess
from shared.core.keys import GRANTABLE_SCOPES, Caller, Scope, Tier
from shared.core.limits import Limits
from shared.core.managed_keys import ManagedKey
from tests.routes.conftest import ADMIN, Routes, problem

KEYS = "/internal/api/v1/keys"
CLERK = Caller(
    "k-clerk",
    "acme",
    Tier.BASIC,
    frozenset({Scope.ADMIN, Scope.INFERENCE}),
    None,
    models=frozenset({"small"}),
    budget=Budget(daily=5_000_000_000),
)
"""May administer keys, and is not much itself."""
MODEST: dict[str, Any] = {
    "name": "ci",
    "tier": "basic",
    "scopes": ["inference"],
    "models": ["small"],
    "budget": {"daily_usd": 5},
}
MORE: list[tuple[str, dict[str, Any]]] = [
    ("tier", {"tier": "premium"}),
    ("tier", {"tier": "master"}),
    ("scopes", {"scopes": ["inference", "jobs"]}),
    ("models", {"models": None}),
    ("models", {"models": ["small", "large"]}),
    ("budget", {"budget": None}),
    ("budget", {"budget": {"monthly_usd": 1}}),
    ("budget", {"budget": {"daily_usd": 5.01}}),
    ("requests_per_minute", {"requests_per_minute": 0}),
    ("requests_per_minute", {"requests_per_minute": 101}),
    ("tokens_per_minute", {"tokens_per_minute": 0}),
    ("concurrent_requests", {"concurrent_requests": 41}),
]


def make(routes: Routes, **fields: Any) -> str:
    return str(routes.call("POST", KEYS, ADMIN, json=MODEST | fields).get_json()["id"])


@pytest.mark.parametrize(("field", "more"), MORE)
def test_403_for_a_key_that_has_more(routes: Routes, field: str, more: dict[str, Any]) -> None:
    assert problem(routes.call("POST", KEYS, CLERK, json=MODEST | more)) == (403, "exceeds_own_key", field)
    assert routes.call("GET", KEYS, ADMIN).get_json()["data"] == []


@pytest.mark.parametrize(("field", "more"), MORE)
def test_403_for_a_key_that_is_to_have_more(routes: Routes, field: str, more: dict[str, Any]) -> None:
    key_id = make(routes)
    assert problem(routes.call("PATCH", f"{KEYS}/{key_id}", CLERK, json=more)) == (403, "exceeds_own_key", field)


@pytest.mark.parametrize(
    ("method", "path", "body"), [("PATCH", "", {"name": "mine"}), ("POST", "/rotate", {}), ("DELETE", "", None)]
)
def test_403_for_touching_a_key_that_has_more(routes: Routes, method: str, path: str, body: Any) -> None:
    key_id = make(routes, tier="master", models=None)
    before = routes.call("GET", f"{KEYS}/{key_id}", ADMIN).get_json()
    assert problem(routes.call(method, f"{KEYS}/{key_id}{path}", CLERK, json=body)) == (403, "exceeds_own_key", "tier")
    assert routes.call("GET", f"{KEYS}/{key_id}", ADMIN).get_json() == before


def test_what_is_no_more_than_oneself_may_be_made_changed_rotated_and_revoked(routes: Routes) -> None:
    made = routes.call("POST", KEYS, CLERK, json=MODEST | {"requests_per_minute": 100})
    assert made.status_code == 201
    place = f"{KEYS}/{made.get_json()['id']}"
    assert routes.call("PATCH", place, CLERK, json={"requests_per_minute": 5}).status_code == 200
    assert routes.call("POST", f"{place}/rotate", CLERK, json={}).status_code == 200
    assert routes.call("DELETE", place, CLERK).status_code == 200


SCOPES = st.frozensets(st.sampled_from(sorted(GRANTABLE_SCOPES)), min_size=1)
AMOUNTS = st.builds(Limits, *(st.integers(0, 3) for _ in range(4)), strict=st.booleans())
MODELS = st.none() | st.frozensets(st.sampled_from("abc"))
BOUNDS = st.none() | st.integers(0, 3)
BUDGETS = st.none() | st.builds(Budget, BOUNDS, BOUNDS)
CALLERS = st.builds(
    Caller, st.just("k"), st.just("t"), st.sampled_from(Tier), SCOPES, st.none(), models=MODELS, budget=BUDGETS
)


@given(CALLERS, AMOUNTS, CALLERS, AMOUNTS, CALLERS, AMOUNTS)
def test_nothing_is_gained_over_a_chain_of_keys(
    first: Caller, of_first: Limits, second: Caller, of_second: Limits, third: Caller, of_third: Limits
) -> None:
    if not excess(first, of_first, _key(second), of_second) and not excess(second, of_second, _key(third), of_third):
        assert not excess(first, of_first, _key(third), of_third)
        assert RANK[third.tier] <= RANK[first.tier]
        assert third.scopes <= first.scopes


def _key(caller: Caller) -> ManagedKey:
    terms: dict[str, Any] = {"models": caller.models, "budget": caller.budget}
    return ManagedKey("k", "name", "t", caller.tier, caller.scopes, (), 0.0, "office", **terms)
