"""`omni demo` shows a platform at work, and fails when a part of it does not work."""

from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from cli import demo_steps
from cli.client import Client
from cli.errors import CliError
from cli.narration import Narrator
from tests.cli.conftest import Omni
from tests.cli.platform import MASTER, MODEL, Asked, Platform, stream
from tests.cli.platform_hooks import Said, problem


def test_every_step_is_shown_and_counted(omni: Omni, platform: Platform) -> None:
    result = omni("demo")
    assert result.exit_code == 0, result.stdout
    assert "6 of 6 steps worked" in result.stdout
    assert "retry-after: 42" in result.stdout
    assert "429 at request 4 (Retry-After 42 s)" in result.stdout
    assert all(key["revoked_at"] for key in platform.keys.values())
    assert "omni_key0_secret" not in result.stdout


def test_output_for_another_program_holds_no_escape_codes(omni: Omni) -> None:
    assert "\x1b" not in omni("demo").stdout


def test_a_failed_step_fails_the_demo_and_the_others_go_on(omni: Omni, platform: Platform) -> None:
    platform.ending = {"state": "failed", "error": {"code": "x", "message": "It broke.", "retryable": False}}
    result = omni("demo")
    assert result.exit_code == 1
    assert "✗ The job is failed: It broke." in result.stdout
    assert "5 of 6 steps worked" in result.stdout


def test_an_answer_without_text_is_a_failure(omni: Omni, platform: Platform) -> None:
    def silent(asked: Asked) -> Said:
        return Said(200, stream("[DONE]") if asked.body.get("stream") else {"choices": [{"message": {"content": ""}}]})

    platform.instead["POST", "/v1/chat/completions"] = silent
    result = omni("demo")
    assert result.exit_code == 1
    assert result.stdout.count("✗ The answer holds no text.") == 2


def test_a_limit_that_does_not_hold_is_a_failure_and_the_key_is_still_revoked(omni: Omni, platform: Platform) -> None:
    usual = platform.answer

    def lax(asked: Asked) -> Said:
        for key in platform.keys.values():
            key["used"] = 0
        return usual(asked)

    platform.answer = lax  # type: ignore[method-assign]
    result = omni("demo")
    assert result.exit_code == 1
    assert "More than 3 requests came through in a minute." in result.stdout
    assert platform.keys["key0"]["revoked_at"]


def test_without_keys_the_step_says_why(omni: Omni, platform: Platform) -> None:
    platform.instead["POST", "/api/v1/keys"] = lambda _: problem(503, "Managed keys need a pepper.", "no_pepper")
    result = omni("demo")
    assert result.exit_code == 1
    assert "✗ Managed keys need a pepper." in result.stdout


def test_a_job_that_never_ends_is_a_failure(platform: Platform) -> None:
    platform.ending = {"state": "running"}
    with pytest.raises(CliError, match=r"The job is still running, attempt 1 of 3 after 120 s\."):
        perform(demo_steps.job, platform)


def test_a_platform_that_cannot_reach_this_machine_does_not_fail_the_demo(omni: Omni, platform: Platform) -> None:
    usual = platform.answer

    def in_the_cloud(asked: Asked) -> Said:
        if asked.path == "/api/v1/jobs" and asked.body and "webhook" in asked.body:
            return problem(400, "'webhook.url' must begin with https://.", "invalid_value")
        return usual(asked)

    platform.answer = in_the_cloud  # type: ignore[method-assign]
    result = omni("demo")
    assert result.exit_code == 0
    assert "✓ Webhook  not tried" in result.stdout


def test_a_platform_that_cannot_reach_this_machine_is_no_failure(
    omni: Omni, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in containers: the receiver's address is not this machine there."""

    def in_containers(_: str, job: dict[str, Any]) -> None:
        attempts = [{"at": 1.0, "status": 0, "reason": "connection refused", "took_s": 0.1}]
        delivery = {"id": "msg_1", "job_id": job["id"], "event": "job.succeeded", "state": "pending"}
        platform.hooks.deliveries.append({**delivery, "attempts": attempts})

    monkeypatch.setattr(platform.hooks, "tell", in_containers)
    monkeypatch.setattr(demo_steps, "LOOK_S", 0.1)
    result = omni("demo")
    assert result.exit_code == 0
    assert "✓ Webhook  not tried: the platform cannot reach a receiver on this machine" in result.stdout


def test_a_webhook_that_somebody_else_signed_is_a_failure(omni: Omni, platform: Platform) -> None:
    platform.hooks.signs_with = "whsec_" + "b3RoZXI=" * 4
    result = omni("demo")
    assert result.exit_code == 1
    assert "✗ A webhook came whose signature is wrong." in result.stdout
    assert platform.hooks.secrets == {}


def test_a_revoked_key_that_goes_on_working_is_a_failure(platform: Platform) -> None:
    platform.instead["DELETE", "/api/v1/keys/key0"] = lambda _: Said(200, platform.keys["key0"])
    with pytest.raises(CliError, match=r"The revoked key still counts as valid after 5 s\."):
        perform(demo_steps.limit, platform)


def perform(step: Callable[[demo_steps.Stage], str], platform: Platform) -> None:
    """One step, on a clock that only moves while the step sleeps."""
    naps = [0.0]
    with Client(platform.base_url, MASTER, monotonic=lambda: sum(naps)) as client:
        step(demo_steps.Stage(client, MODEL, Narrator(Console(quiet=True)), naps.append))
