"""Managed keys: made once, shown once, changed, rotated and revoked, and every change noted with its author."""

import time
from typing import Any

import pytest

from shared.core.budgets import Budget
from shared.core.errors import Unauthenticated
from shared.core.keys import Caller
from shared.keys.authentication import Authenticator
from tests.routes.conftest import ACME, ADMIN, Routes, problem

KEYS = "/internal/api/v1/keys"
WANTED: dict[str, Any] = {"name": "ci", "tenant": "acme", "tier": "basic", "scopes": ["inference"]}
TERMS = {
    "budget": {"daily_usd": 0.1, "monthly_usd": None},
    "models": ["org/large", "small"],
    "ips": ["2001:db8::/32", "203.0.113.7/32"],
    "metadata": {"team": "blue"},
    "expires_at": 4_000_000_000.0,
}


def make(routes: Routes, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = routes.call("POST", KEYS, ADMIN, json=WANTED | fields).get_json()
    return made


def without_text(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "key"}


def who(routes: Routes, key: str) -> Caller | None:
    """Whom a process that starts now takes the key for."""
    ports = routes.ports
    try:
        return Authenticator.from_settings(routes.settings, ports.secrets, ports.store, ports.clock).authenticate(key)
    except Unauthenticated:
        return None


def test_201_a_new_key_is_shown_once(routes: Routes) -> None:
    response = routes.call("POST", KEYS, ADMIN, json=WANTED | TERMS)
    made = response.get_json()
    assert response.status_code == 201
    assert made["key"].startswith(f"omni_{made['id']}_")
    assert made["requests_per_minute"] == 100
    assert made["created_by"] == ADMIN.key_id
    assert TERMS.items() <= made.items()
    (listed,) = routes.call("GET", KEYS, ADMIN).get_json()["data"]
    assert listed == without_text(made)
    assert routes.call("GET", f"{KEYS}/{made['id']}", ADMIN).get_json() == listed


def test_201_a_new_key_opens_the_door(routes: Routes) -> None:
    caller = who(routes, make(routes, requests_per_minute=7, models=["small"])["key"])
    assert caller is not None
    assert (caller.tenant, caller.tier, caller.requests_per_minute) == ("acme", "basic", 7)
    assert caller.models == frozenset({"small"})


def test_201_a_new_key_has_its_budget(routes: Routes) -> None:
    caller = who(routes, make(routes, budget={"daily_usd": 0.1, "monthly_usd": 20})["key"])
    assert caller is not None
    assert caller.budget == Budget(100_000_000, 20_000_000_000)


@pytest.mark.parametrize("amount", [-1, 1e9, 0.0000000001, "1", True])
def test_400_a_budget_that_cannot_be(routes: Routes, amount: object) -> None:
    refused = routes.call("POST", KEYS, ADMIN, json=WANTED | {"budget": {"daily_usd": amount}})
    assert problem(refused) == (400, "invalid_value", "budget.daily_usd")


def test_200_a_budget_can_be_changed_and_taken_away(routes: Routes) -> None:
    made = make(routes)
    path, none = f"{KEYS}/{made['id']}", {"daily_usd": None, "monthly_usd": None}
    assert made["budget"] == none
    for budget in ({"daily_usd": 5, "monthly_usd": 1.25}, none):
        changed = routes.call("PATCH", path, ADMIN, json={"budget": budget})
        assert changed.get_json()["budget"] == budget
    assert routes.call("PATCH", path, ADMIN, json={"budget": None}).get_json()["budget"] == none


def test_nothing_that_is_kept_or_listed_holds_a_text_or_its_hash(routes: Routes) -> None:
    made = make(routes)
    key = routes.call("POST", f"{KEYS}/{made['id']}/rotate", ADMIN, json={"overlap_s": 60}).get_json()["key"]
    for file in routes.settings.state_dir.iterdir():
        assert made["key"].encode() not in file.read_bytes()
        assert key.encode() not in file.read_bytes()
    (document,) = [routes.ports.store.get("keys", made["id"])]
    assert document is not None
    for path in (KEYS, f"{KEYS}/{made['id']}"):
        answer = routes.call("GET", path, ADMIN).text
        assert not any(text["hash"] in answer for text in document["texts"])


def test_200_a_change_touches_what_it_names(routes: Routes) -> None:
    made = make(routes, **TERMS)
    other: dict[str, Any] = {"name": "laptop", "models": None, "ips": []}
    changed = routes.call("PATCH", f"{KEYS}/{made['id']}", ADMIN, json=other).get_json()
    assert changed["changed_by"] == ADMIN.key_id
    assert abs(changed["changed_at"] - time.time()) < 60
    noted = {name: changed[name] for name in ("changed_at", "changed_by")}
    assert changed == without_text(made) | other | noted
    assert routes.call("GET", f"{KEYS}/{made['id']}", ADMIN).get_json() == changed


def test_200_another_tier_brings_its_limit_unless_the_key_has_its_own(routes: Routes) -> None:
    plain, special = make(routes), make(routes, requests_per_minute=7)
    for key, limit in ((plain, 1000), (special, 7)):
        changed = routes.call("PATCH", f"{KEYS}/{key['id']}", ADMIN, json={"tier": "premium"}).get_json()
        assert changed["requests_per_minute"] == limit
    reset = routes.call("PATCH", f"{KEYS}/{special['id']}", ADMIN, json={"requests_per_minute": None}).get_json()
    assert reset["requests_per_minute"] == 1000


@pytest.mark.parametrize("nothing", [{}, {"name": "ci"}])
def test_200_a_change_of_nothing_is_none(routes: Routes, nothing: dict[str, str]) -> None:
    made = make(routes)
    assert routes.call("PATCH", f"{KEYS}/{made['id']}", ADMIN, json=nothing).get_json() == without_text(made)


def test_200_a_rotation_replaces_the_text(routes: Routes) -> None:
    made = make(routes)
    rotated = routes.call("POST", f"{KEYS}/{made['id']}/rotate", ADMIN).get_json()
    assert rotated["key"].startswith(f"omni_{made['id']}_")
    assert rotated["older_texts_until"] is None
    assert who(routes, made["key"]) is None
    assert who(routes, rotated["key"]) is not None


def test_200_a_rotation_with_overlap_keeps_the_old_text_for_a_while(routes: Routes) -> None:
    made = make(routes)
    rotated = routes.call("POST", f"{KEYS}/{made['id']}/rotate", ADMIN, json={"overlap_s": 3600}).get_json()
    assert abs(rotated["older_texts_until"] - time.time() - 3600) < 60
    assert who(routes, made["key"]) == who(routes, rotated["key"]) is not None


def test_200_revoking_twice_keeps_the_first_time(routes: Routes) -> None:
    made = make(routes)
    first = routes.call("DELETE", f"{KEYS}/{made['id']}", ADMIN).get_json()
    again = routes.call("DELETE", f"{KEYS}/{made['id']}", ADMIN).get_json()
    assert first["revoked_at"] is not None
    assert first["changed_by"] == ADMIN.key_id
    assert first == again
    assert who(routes, made["key"]) is None


def test_keys_are_listed_newest_first_a_page_at_a_time(routes: Routes) -> None:
    made = [make(routes, name=f"k{n}")["id"] for n in range(5)]
    seen, after = [], ""
    while True:
        page = routes.call("GET", f"{KEYS}?limit=2&after={after}", ADMIN).get_json()
        seen += [key["id"] for key in page["data"]]
        if not page["has_more"]:
            break
        after = page["next_cursor"]
    assert seen == made[::-1]


BAD_TERMS: list[tuple[dict[str, object], str]] = [
    ({"name": ""}, "name"),
    ({"name": 5}, "name"),
    ({"name": None}, "name"),
    ({"tier": "gold"}, "tier"),
    ({"scopes": ["system"]}, "scopes.0"),
    ({"scopes": []}, "scopes"),
    ({"requests_per_minute": -1}, "requests_per_minute"),
    ({"models": [""]}, "models.0"),
    ({"models": "small"}, "models"),
    ({"ips": ["10.0.0.5/8"]}, "ips.0"),
    ({"ips": ["localhost"]}, "ips.0"),
    ({"ips": None}, "ips"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"metadata": {f"k{n}": "" for n in range(17)}}, "metadata"),
    ({"expires_at": 1.0}, "expires_at"),
    ({"expires_at": "tomorrow"}, "expires_at"),
    ({"expires_at": 1e300}, "expires_at"),
    ({"surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("change", "param"), [*BAD_TERMS, ({"tenant": "No Spaces"}, "tenant")])
def test_400_names_the_field_of_a_new_key(routes: Routes, change: dict[str, object], param: str) -> None:
    assert problem(routes.call("POST", KEYS, ADMIN, json=WANTED | change))[::2] == (400, param)


@pytest.mark.parametrize(("change", "param"), [*BAD_TERMS, ({"tenant": "other"}, "tenant")])
def test_400_names_the_field_of_a_change(routes: Routes, change: dict[str, object], param: str) -> None:
    path = f"{KEYS}/{make(routes)['id']}"
    assert problem(routes.call("PATCH", path, ADMIN, json=change))[::2] == (400, param)


@pytest.mark.parametrize("overlap_s", [-1, 30 * 24 * 3600 + 1, "1", None])
def test_400_for_an_overlap_that_is_none(routes: Routes, overlap_s: object) -> None:
    path = f"{KEYS}/{make(routes)['id']}/rotate"
    assert problem(routes.call("POST", path, ADMIN, json={"overlap_s": overlap_s}))[::2] == (400, "overlap_s")


@pytest.mark.parametrize("limit", ["0", "-1", "101", "ten", "1e1", "", "00000000150000", "000000001" + "9" * 5000])
def test_400_for_a_page_size_that_is_none(routes: Routes, limit: str) -> None:
    assert problem(routes.call("GET", f"{KEYS}?limit={limit}", ADMIN))[::2] == (400, "limit")


EVERY_ROUTE = [
    ("POST", KEYS, WANTED),
    ("GET", KEYS, None),
    ("GET", f"{KEYS}/nothing", None),
    ("PATCH", f"{KEYS}/nothing", {"name": "x"}),
    ("POST", f"{KEYS}/nothing/rotate", {}),
    ("DELETE", f"{KEYS}/nothing", None),
]


@pytest.mark.parametrize(("method", "path", "body"), EVERY_ROUTE)
def test_403_for_a_key_that_may_not_administer(routes: Routes, method: str, path: str, body: object) -> None:
    assert problem(routes.call(method, path, ACME, json=body))[:2] == (403, "permission_denied")


@pytest.mark.parametrize(("method", "path", "body"), EVERY_ROUTE[2:])
def test_404_for_a_key_that_was_never_made(routes: Routes, method: str, path: str, body: object) -> None:
    assert problem(routes.call(method, path, ADMIN, json=body)) == (404, "not_found", "id")


@pytest.mark.parametrize(("method", "place", "body"), [("PATCH", "", {"name": "x"}), ("POST", "/rotate", {})])
def test_409_for_a_revoked_key(routes: Routes, method: str, place: str, body: object) -> None:
    path = f"{KEYS}/{make(routes)['id']}"
    routes.call("DELETE", path, ADMIN)
    assert problem(routes.call(method, path + place, ADMIN, json=body))[:2] == (409, "key_revoked")


def test_409_once_too_many_texts_of_a_key_work(routes: Routes) -> None:
    path = f"{KEYS}/{make(routes)['id']}/rotate"
    statuses = [routes.call("POST", path, ADMIN, json={"overlap_s": 60}).status_code for _ in range(10)]
    assert statuses == [200] * 9 + [409]
