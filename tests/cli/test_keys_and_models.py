"""Keys and models in tables for people, and as the platform's JSON for scripts."""

import json

import pytest

from tests.cli.conftest import Omni
from tests.cli.platform import MODEL, Platform
from tests.cli.platform_hooks import Said


def test_models_are_a_table(omni: Omni) -> None:
    lines = omni("models").stdout.splitlines()
    assert lines[0].split() == ["MODEL", "KINDS", "CONTEXT"]
    assert lines[1].split() == [MODEL, "chat", "8,192", "tokens"]


def test_models_are_json_for_scripts(omni: Omni) -> None:
    assert json.loads(omni("models", "--json").stdout)["data"][0]["id"] == MODEL


def test_a_new_key_is_all_of_standard_output(omni: Omni, platform: Platform) -> None:
    result = omni("keys", "create", "laptop", "--requests-per-minute", "60", "--scope", "inference")
    assert result.stdout == "omni_key0_secret\n"
    assert "Keep its secret now" in result.stderr
    assert platform.asked[-1].body == {"name": "laptop", "requests_per_minute": 60, "scopes": ["inference"]}


def test_no_limit_is_not_the_same_as_none_given(omni: Omni, platform: Platform) -> None:
    assert "no limit" in omni("keys", "create", "laptop", "--requests-per-minute", "0").stderr
    assert platform.asked[-1].body["requests_per_minute"] == 0


def test_keys_are_listed_without_their_text(omni: Omni) -> None:
    omni("keys", "create", "[red]laptop")
    shown = omni("keys", "list").stdout
    assert "[red]laptop" in shown
    assert "key0_secret" not in shown


def test_a_revoked_key_stays_listed_as_such(omni: Omni) -> None:
    omni("keys", "create", "laptop")
    assert omni("keys", "list").stdout.split()[-1] == "valid"
    assert omni("keys", "revoke", "key0").stdout == "The key 'laptop' (key0) is revoked.\n"
    assert omni("keys", "list").stdout.split()[-1] == "revoked"


def test_an_id_cannot_lead_to_another_address(omni: Omni, platform: Platform) -> None:
    omni("keys", "revoke", "../jobs/1?x")
    assert platform.asked[-1].path == "/api/v1/keys/..%2Fjobs%2F1%3Fx"


@pytest.mark.parametrize("subject", ["keys", "jobs"])
def test_a_page_says_how_to_get_the_next(omni: Omni, platform: Platform, subject: str) -> None:
    more = {"object": "list", "data": [], "has_more": True, "next_cursor": "abc"}
    platform.instead["GET", f"/api/v1/{subject}"] = lambda _: Said(200, more)
    result = omni(subject, "list", "--limit", "5", "--after", "xyz")
    assert platform.asked[-1].query == {"limit": "5", "after": "xyz"}
    assert result.stderr == "There are more: --after abc\n"
