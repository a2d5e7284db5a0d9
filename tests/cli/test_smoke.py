"""`omni smoke` tries a platform out, leaves a report, and fails when a part of it does not work."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Omni
from tests.cli.platform import Asked, Platform
from tests.cli.platform_hooks import Said


@pytest.fixture(autouse=True)
def healthy(platform: Platform) -> None:
    platform.instead["GET", "/api/health"] = lambda _: Said(200, {"status": "ok"})


def test_a_platform_that_works_leaves_a_report_that_says_so(omni: Omni, tmp_path: Path) -> None:
    result = omni("smoke", "--to", str(tmp_path))
    assert result.exit_code == 0, result.stdout + result.stderr
    (report,) = tmp_path.glob("*.json")
    told = json.loads(report.read_text())
    assert told["worked"] is True
    assert [step["step"] for step in told["steps"]] == [
        "Health", "Chat", "Stream", "Job", "Batch", "Webhook", "Limit", "Embedding",
    ]  # fmt: skip
    page = report.with_suffix(".md").read_text()
    assert all(f"| {step['step']} | yes |" in page for step in told["steps"])


def test_what_a_platform_does_not_offer_is_said_and_is_no_failure(omni: Omni, tmp_path: Path) -> None:
    result = omni("smoke", "--to", str(tmp_path))
    assert "✓ Embedding  not offered" in result.stdout


def test_a_part_that_does_not_work_fails_it(omni: Omni, platform: Platform, tmp_path: Path) -> None:
    platform.ending = {"state": "failed", "error": {"code": "x", "message": "It | broke.", "retryable": False}}
    assert omni("smoke", "--to", str(tmp_path)).exit_code == 1
    (report,) = tmp_path.glob("*.json")
    assert json.loads(report.read_text())["worked"] is False
    assert "| Job | **no** | The job is failed: It \\| broke. |" in report.with_suffix(".md").read_text()


def test_an_unhealthy_platform_fails_it(omni: Omni, platform: Platform, tmp_path: Path) -> None:
    def unhealthy(_: Asked) -> Said:
        return Said(200, {"status": "degraded"})

    platform.instead["GET", "/api/health"] = unhealthy
    result = omni("smoke", "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "The platform says it is 'degraded'." in result.stdout


def test_no_platform_at_all_is_a_report_too(omni: Omni, tmp_path: Path) -> None:
    result = omni("smoke", "--base-url", "http://127.0.0.1:9", "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "No platform answers at http://127.0.0.1:9" in result.stdout
    assert list(tmp_path.glob("*.md"))
