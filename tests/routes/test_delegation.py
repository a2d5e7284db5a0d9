"""A key hands on what it has and no more, in every field and on every route; an admin stays in its tenant."""

import time
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.budgets import Budget
from shared.core.delegation import RANK, EffectiveKey, excess
from shared.core.keys import GRANTABLE_SCOPES, Caller, Scope, Tier, granted
from shared.core.limits import Limits
from shared.core.managed_keys import ManagedKey, credential, from_document
from tests.routes.conftest import ADMIN, Routes, problem

KEYS = "/internal/api/v1/keys"
SOON = time.time() + 3600
MODEST: dict[str, Any] = {
    "name": "ci",
    "tenant": "acme",
    "tier": "basic",
    "scopes": ["inference"],
    "requests_per_day": 50,
    "strict": True,
    "models": ["small"],
    "budget": {"daily_usd": 5},
    "ips": ["10.1.0.0/16", "2001:db8::/32"],
    "expires_at": SOON,
}
CLERK = MODEST | {"name": "clerk", "scopes": ["admin", "inference"]}
"""May administer keys, and is not much itself: limits of its own, of its tier (100 a minute) and of its tenant."""
MORE: list[tuple[str, dict[str, Any]]] = [
    ("tier", {"tier": "premium"}),
    ("tier", {"tier": "master"}),
    ("scopes", {"scopes": ["inference", "jobs"]}),
    ("scopes", {"scopes": ["admin", "platform_admin"]}),
    ("models", {"models": None}),
    ("models", {"models": ["small", "large"]}),
    ("budget", {"budget": None}),
    ("budget", {"budget": {}}),
    ("budget", {"budget": {"monthly_usd": 1}}),
    ("budget", {"budget": {"daily_usd": 5.01}}),
    ("requests_per_minute", {"requests_per_minute": 0}),
    ("requests_per_minute", {"requests_per_minute": 101}),
    ("tokens_per_minute", {"tokens_per_minute": 0}),
    ("tokens_per_minute", {"tokens_per_minute": 400_001}),
    ("concurrent_requests", {"concurrent_requests": 41}),
    ("concurrent_requests", {"concurrent_requests": 0}),
    ("requests_per_day", {"requests_per_day": 0}),
    ("requests_per_day", {"requests_per_day": None}),
    ("requests_per_day", {"requests_per_day": 51}),
    ("strict", {"strict": False}),
    ("ips", {"ips": []}),
    ("ips", {"ips": ["10.0.0.0/8"]}),
    ("ips", {"ips": ["10.1.2.3", "192.0.2.1"]}),
    ("ips", {"ips": ["::/0"]}),
    ("expires_at", {"expires_at": None}),
    ("expires_at", {"expires_at": SOON + 1}),
]
LESS: list[dict[str, Any]] = [
    {},
    {"tier": "free"},
    {"requests_per_minute": 100, "tokens_per_minute": 1, "concurrent_requests": 40, "requests_per_day": 49},
    {"models": []},
    {"budget": {"daily_usd": 0, "monthly_usd": 1}},
    {"ips": ["10.1.2.0/24"]},
    {"ips": ["2001:db8:1::/48", "10.1.0.0/16"]},
    {"expires_at": SOON - 1},
    {"metadata": {"team": "blue"}},
]


def make(routes: Routes, fields: dict[str, Any]) -> str:
    made = routes.call("POST", KEYS, ADMIN, json=fields)
    assert made.status_code == 201, made.text
    return str(made.get_json()["id"])


def caller_of(routes: Routes, key_id: str) -> Caller:
    """Whom the gateway would sign for the key."""
    document = routes.ports.store.get("keys", key_id)
    assert document
    return credential(from_document(document)).caller


@pytest.fixture
def clerk(routes: Routes) -> Caller:
    return caller_of(routes, make(routes, CLERK))


@pytest.mark.parametrize(("field", "more"), MORE)
def test_403_for_a_key_that_has_more(routes: Routes, clerk: Caller, field: str, more: dict[str, Any]) -> None:
    assert problem(routes.call("POST", KEYS, clerk, json=MODEST | more)) == (403, "exceeds_own_key", field)
    assert len(routes.call("GET", KEYS, ADMIN).get_json()["data"]) == 1


@pytest.mark.parametrize(("field", "more"), MORE)
def test_403_for_a_sibling_that_is_to_have_more(
    routes: Routes, clerk: Caller, field: str, more: dict[str, Any]
) -> None:
    key_id = make(routes, MODEST)
    assert problem(routes.call("PATCH", f"{KEYS}/{key_id}", clerk, json=more)) == (403, "exceeds_own_key", field)


@pytest.mark.parametrize(("field", "more"), MORE)
def test_403_for_raising_oneself(routes: Routes, clerk: Caller, field: str, more: dict[str, Any]) -> None:
    path = f"{KEYS}/{clerk.key_id}"
    assert problem(routes.call("PATCH", path, clerk, json=more)) == (403, "exceeds_own_key", field)


@pytest.mark.parametrize(("field", "more"), MORE)
@pytest.mark.parametrize(
    ("method", "path", "body"), [("PATCH", "", {"name": "mine"}), ("POST", "/rotate", {}), ("DELETE", "", None)]
)
def test_403_for_touching_a_key_that_has_more(
    routes: Routes, clerk: Caller, method: str, path: str, body: Any, field: str, more: dict[str, Any]
) -> None:
    key_id = make(routes, MODEST | more)
    before = routes.call("GET", f"{KEYS}/{key_id}", ADMIN).get_json()
    assert problem(routes.call(method, f"{KEYS}/{key_id}{path}", clerk, json=body)) == (403, "exceeds_own_key", field)
    assert routes.call("GET", f"{KEYS}/{key_id}", ADMIN).get_json() == before


@pytest.mark.parametrize("less", LESS)
def test_what_is_no_more_than_oneself_may_be_made_changed_rotated_and_revoked(
    routes: Routes, clerk: Caller, less: dict[str, Any]
) -> None:
    made = routes.call("POST", KEYS, clerk, json=MODEST | less)
    assert made.status_code == 201, made.text
    place = f"{KEYS}/{made.get_json()['id']}"
    assert routes.call("PATCH", place, clerk, json={"requests_per_minute": 5}).status_code == 200
    assert routes.call("POST", f"{place}/rotate", clerk, json={}).status_code == 200
    assert routes.call("DELETE", place, clerk).status_code == 200


def test_a_maker_is_judged_by_its_record_not_by_what_was_signed_before(routes: Routes, clerk: Caller) -> None:
    routes.call("PATCH", f"{KEYS}/{clerk.key_id}", ADMIN, json={"requests_per_minute": 1})
    assert problem(routes.call("POST", KEYS, clerk, json=MODEST))[2] == "requests_per_minute"
    routes.call("DELETE", f"{KEYS}/{clerk.key_id}", ADMIN)
    assert problem(routes.call("POST", KEYS, clerk, json=MODEST | {"requests_per_minute": 1}))[0] == 401


def test_a_maker_that_lost_its_scope_makes_nothing(routes: Routes, clerk: Caller) -> None:
    routes.call("PATCH", f"{KEYS}/{clerk.key_id}", ADMIN, json={"scopes": ["inference"]})
    assert problem(routes.call("POST", KEYS, clerk, json=MODEST))[:2] == (403, "permission_denied")


def test_a_key_that_is_in_no_record_makes_nothing(routes: Routes) -> None:
    made_up = replace(ADMIN, key_id="4fGx0TqLw2Zb")
    assert problem(routes.call("POST", KEYS, made_up, json=MODEST))[0] == 401


def test_children_keep_what_they_have_when_their_maker_ends(routes: Routes, clerk: Caller) -> None:
    child = routes.call("POST", KEYS, clerk, json=MODEST).get_json()
    routes.call("DELETE", f"{KEYS}/{clerk.key_id}", ADMIN)
    assert routes.call("GET", f"{KEYS}/{child['id']}", ADMIN).get_json()["revoked_at"] is None


def test_an_admin_makes_keys_in_its_own_tenant_only(routes: Routes, clerk: Caller) -> None:
    in_none = {name: value for name, value in MODEST.items() if name != "tenant"}
    assert routes.call("POST", KEYS, clerk, json=in_none).get_json()["tenant"] == "acme"
    refused = routes.call("POST", KEYS, clerk, json=MODEST | {"tenant": "rival"})
    assert problem(refused) == (403, "exceeds_own_key", "tenant")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "", None), ("PATCH", "", {"name": "mine"}), ("POST", "/rotate", {}), ("DELETE", "", None)],
)
def test_404_for_another_tenants_key(routes: Routes, clerk: Caller, method: str, path: str, body: Any) -> None:
    key_id = make(routes, MODEST | {"tenant": "rival"})
    refused = routes.call(method, f"{KEYS}/{key_id}{path}", clerk, json=body)
    assert problem(refused) == (404, "not_found", "id")


def test_an_admin_lists_the_keys_of_its_own_tenant_only(routes: Routes, clerk: Caller) -> None:
    make(routes, MODEST | {"tenant": "rival"})
    for query in ("", "?tenant=acme", "?tenant="):
        keys = routes.call("GET", KEYS + query, clerk).get_json()["data"]
        assert [key["tenant"] for key in keys] == ["acme"]
    assert problem(routes.call("GET", f"{KEYS}?tenant=rival", clerk)) == (403, "permission_denied", "tenant")


def test_a_platform_admin_acts_in_every_tenant_and_hands_on_no_more_than_it_has(routes: Routes) -> None:
    chief = caller_of(routes, make(routes, CLERK | {"scopes": ["platform_admin", "inference"]}))
    made = routes.call("POST", KEYS, chief, json=MODEST | {"tenant": "rival"})
    assert made.status_code == 201
    assert routes.call("DELETE", f"{KEYS}/{made.get_json()['id']}", chief).status_code == 200
    assert len(routes.call("GET", KEYS, chief).get_json()["data"]) == 2
    refused = routes.call("POST", KEYS, chief, json=MODEST | {"tenant": "rival", "requests_per_day": 51})
    assert problem(refused)[2] == "requests_per_day"


@dataclass(frozen=True, slots=True)
class Grown(ManagedKey):
    """A record of a later version."""

    region: str | None = None


def plain(kind: type[ManagedKey], **values: Any) -> ManagedKey:
    return kind("k", "name", "t", Tier.BASIC, frozenset({Scope.ADMIN}), (), 0.0, "office", **values)


def of(key: ManagedKey, limits: Limits | None = None, budget: Budget | None = None) -> EffectiveKey:
    return EffectiveKey(key, limits or Limits(), budget or key.budget or Budget(), Limits(), Budget())


def test_a_field_that_nobody_classified_is_refused() -> None:
    assert excess(of(plain(ManagedKey)), of(plain(ManagedKey))) == ""
    assert excess(of(plain(Grown)), of(plain(Grown))) == "region"
    assert excess(of(plain(Grown, region="eu")), of(plain(Grown, region="eu"))) == "region"


def test_every_limit_of_a_tier_is_a_field_of_a_key() -> None:
    """So that a limit that is added is compared."""
    assert {field.name for field in fields(Limits)} <= {field.name for field in fields(ManagedKey)}


def test_a_tenants_limits_bound_the_maker_in_other_tenants() -> None:
    chief = replace(plain(ManagedKey), scopes=frozenset({Scope.PLATFORM_ADMIN}))
    maker = replace(of(chief), tenant_limits=Limits(requests_per_minute=5), tenant_budget=Budget(daily=5))
    made = replace(of(replace(chief, tenant="other")), tenant_budget=Budget(daily=5))
    assert excess(maker, made) == "requests_per_minute"
    assert excess(maker, replace(made, tenant_limits=Limits(requests_per_minute=5))) == ""
    assert excess(maker, replace(maker, key=replace(chief, name="same tenant"))) == ""


SCOPES = st.frozensets(st.sampled_from(sorted(GRANTABLE_SCOPES)), min_size=1)
AMOUNTS = st.builds(Limits, *(st.integers(0, 3) for _ in range(4)), strict=st.booleans())
MODELS = st.none() | st.frozensets(st.sampled_from("abc"))
BOUNDS = st.none() | st.integers(0, 3)
BUDGETS = st.none() | st.builds(Budget, BOUNDS, BOUNDS)
NETWORKS = st.lists(st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "2001:db8::/32"])).map(tuple)
RECORDS = st.builds(
    plain, st.just(ManagedKey), models=MODELS, budget=BUDGETS, ips=NETWORKS, expires_at=BOUNDS, strict=st.booleans()
)
KEPT = st.builds(
    lambda key, tier, scopes, tenant: replace(key, tier=tier, scopes=scopes, tenant=tenant),
    RECORDS, st.sampled_from(Tier), SCOPES, st.sampled_from("tu"),
)  # fmt: skip
EFFECTIVE = st.builds(of, KEPT, AMOUNTS)


@given(EFFECTIVE, EFFECTIVE, EFFECTIVE)
def test_nothing_is_gained_over_a_chain_of_keys(first: EffectiveKey, second: EffectiveKey, third: EffectiveKey) -> None:
    if not excess(first, second) and not excess(second, third):
        assert not excess(first, third)
        assert RANK[third.key.tier] <= RANK[first.key.tier]
        assert third.key.scopes <= granted(first.key.scopes)


@given(EFFECTIVE)
def test_a_key_may_make_its_like(key: EffectiveKey) -> None:
    assert not excess(key, key)
