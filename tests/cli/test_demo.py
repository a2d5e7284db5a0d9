"""`omni demo` shows a platform at work, and fails when a part of it does not work."""

from tests.cli.conftest import Omni
from tests.cli.platform import Asked, Platform, Said, problem, stream


def test_every_step_is_shown_and_counted(omni: Omni, platform: Platform) -> None:
    result = omni("demo")
    assert result.exit_code == 0, result.stdout
    assert "4 of 4 steps worked" in result.stdout
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
    assert "3 of 4 steps worked" in result.stdout


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
