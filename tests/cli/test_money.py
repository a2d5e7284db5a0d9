"""Budgets and usage on the command line."""

from typing import Any

from tests.cli.conftest import Omni
from tests.cli.platform import Asked, Platform
from tests.cli.platform_hooks import Said

SUMS: dict[str, Any] = {
    "requests": 1200,
    "failed": 3,
    "answered_from_cache": 0,
    "prompt_tokens": 5000,
    "cached_prompt_tokens": 0,
    "completion_tokens": 700,
    "cost_usd": 1.25,
    "unpriced_requests": 2,
}
REPORT = {
    "object": "usage",
    "group": "model",
    "data": [{"key": "small", **SUMS}],
    "total": SUMS,
    "storage": {"bytes": 1500, "limit_bytes": 10000},
}


def test_a_key_is_made_with_a_budget(omni: Omni, platform: Platform) -> None:
    omni("keys", "create", "intern", "--daily-usd", "0.5")
    assert platform.asked[-1].body == {"name": "intern", "budget": {"daily_usd": 0.5, "monthly_usd": None}}


def test_lists_show_budgets(omni: Omni, platform: Platform) -> None:
    omni("keys", "create", "intern")
    platform.keys["key0"]["budget"] = {"daily_usd": 0.5, "monthly_usd": 1000}
    assert "$0.50 a day, $1,000.00 a month" in omni("keys", "list").stdout


def test_usage_is_a_table_with_its_sum(omni: Omni, platform: Platform) -> None:
    platform.instead["GET", "/api/v1/usage"] = lambda _: Said(200, REPORT)
    result = omni("usage", "--by", "model", "--from", "2026-11-01")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["MODEL", "REQUESTS", "FAILED", "CACHED", "TOKENS", "IN", "TOKENS", "OUT", "USD"]
    assert lines[1:] == [[name, "1,200", "3", "0", "5,000", "700", "1.250000"] for name in ("small", "total")]
    assert "2 requests had no price" in result.stderr
    assert platform.asked[-1].query == {"group": "model", "from": "2026-11-01"}


def test_a_refusal_is_told(omni: Omni, platform: Platform) -> None:
    def refuse(_: Asked) -> Said:
        error = {"message": "'from' must be a day.", "type": "t", "param": "from", "code": "invalid_request"}
        return Said(400, {"error": error, "request_id": "r"})

    platform.instead["GET", "/api/v1/usage"] = refuse
    result = omni("usage", "--from", "then")
    assert result.exit_code != 0
    assert "'from' must be a day." in result.stderr
