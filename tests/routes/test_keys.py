"""Managed keys: made once, shown once, listed without their text, revoked for good."""

import pytest

from shared.identity import Authenticator
from tests.routes.conftest import ACME, ADMIN, Routes, problem

WANTED = {"name": "ci", "tenant": "acme", "tier": "basic", "scopes": ["inference"]}


def test_201_a_new_key_is_shown_once(routes: Routes) -> None:
    response = routes.call("POST", "/internal/api/v1/keys", ADMIN, json=WANTED)
    made = response.get_json()
    assert response.status_code == 201
    assert made["key"].startswith(f"omni_{made['id']}_")
    assert made["requests_per_minute"] == 100
    (listed,) = routes.call("GET", "/internal/api/v1/keys", ADMIN).get_json()["data"]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert "hash" not in listed


def test_201_a_new_key_opens_the_door(routes: Routes) -> None:
    made = routes.call("POST", "/internal/api/v1/keys", ADMIN, json=WANTED | {"requests_per_minute": 7}).get_json()
    ports = routes.ports
    caller = Authenticator.from_secrets(ports.secrets, ports.store, ports.clock, 0).authenticate(made["key"])
    assert (caller.tenant, caller.tier, caller.requests_per_minute) == ("acme", "basic", 7)


def test_the_text_of_a_key_is_nowhere_in_the_store(routes: Routes) -> None:
    key = routes.call("POST", "/internal/api/v1/keys", ADMIN, json=WANTED).get_json()["key"]
    for file in routes.settings.state_dir.iterdir():
        assert key.encode() not in file.read_bytes()


def test_200_revoking_twice_keeps_the_first_time(routes: Routes) -> None:
    made = routes.call("POST", "/internal/api/v1/keys", ADMIN, json=WANTED).get_json()
    first = routes.call("DELETE", f"/internal/api/v1/keys/{made['id']}", ADMIN).get_json()
    again = routes.call("DELETE", f"/internal/api/v1/keys/{made['id']}", ADMIN).get_json()
    assert first["revoked_at"] is not None
    assert first == again


def test_keys_are_listed_newest_first_a_page_at_a_time(routes: Routes) -> None:
    made = [
        routes.call("POST", "/internal/api/v1/keys", ADMIN, json=WANTED | {"name": f"k{n}"}).get_json()["id"]
        for n in range(5)
    ]
    seen, after = [], ""
    while True:
        page = routes.call("GET", f"/internal/api/v1/keys?limit=2&after={after}", ADMIN).get_json()
        seen += [key["id"] for key in page["data"]]
        if not page["has_more"]:
            break
        after = page["next_cursor"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"tenant": "No Spaces"}, "tenant"),
        ({"tier": "gold"}, "tier"),
        ({"scopes": ["system"]}, "scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"requests_per_minute": -1}, "requests_per_minute"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_400_names_the_field(routes: Routes, change: dict[str, object], param: str) -> None:
    assert problem(routes.call("POST", "/internal/api/v1/keys", ADMIN, json=WANTED | change))[::2] == (400, param)


@pytest.mark.parametrize("limit", ["0", "-1", "101", "ten", "1e1", ""])
def test_400_for_a_page_size_that_is_none(routes: Routes, limit: str) -> None:
    assert problem(routes.call("GET", f"/internal/api/v1/keys?limit={limit}", ADMIN))[::2] == (400, "limit")


def test_403_for_a_key_that_may_not_administer(routes: Routes) -> None:
    assert problem(routes.call("GET", "/internal/api/v1/keys", ACME))[0] == 403


def test_404_for_a_key_that_was_never_made(routes: Routes) -> None:
    assert problem(routes.call("DELETE", "/internal/api/v1/keys/nothing", ADMIN))[0] == 404
