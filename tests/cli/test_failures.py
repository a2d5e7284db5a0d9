"""Whatever goes wrong, a command ends with one clear message and status 1, never with a traceback."""

import pytest

from tests.cli.conftest import Omni
from tests.cli.platform import Asked, Breaks, Platform, stream
from tests.cli.platform_hooks import Said, problem

COMMANDS = [
    ("models",),
    ("chat", "hello"),
    ("keys", "list"),
    ("keys", "create", "laptop"),
    ("keys", "revoke", "key0"),
    ("jobs", "list"),
    ("jobs", "get", "job0"),
    ("jobs", "cancel", "job0"),
    ("jobs", "submit", "--prompt", "hello"),
    ("demo",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_platform_is_one_sentence(omni: Omni, platform: Platform, command: tuple[str, ...]) -> None:
    platform.__exit__()
    result = omni(*command)
    assert result.exit_code == 1
    assert result.stderr == f"Error: No platform answers at {platform.base_url}. Start one with './omni up'.\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_key_is_told_with_the_request_id(omni: Omni, command: tuple[str, ...]) -> None:
    result = omni(*command, OMNI_API_KEY="wrong")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: No valid API key was given.\n  (401, invalid_api_key, request id req_test)\n"
        "  Give a valid key with --api-key or OMNI_API_KEY.\n"
    )


def test_a_reached_limit_says_when_to_come_back(omni: Omni, platform: Platform) -> None:
    platform.instead["GET", "/v1/models"] = lambda _: problem(
        429, "Enough.", "rate_limit_exceeded", {"Retry-After": "7"}
    )
    result = omni("models")
    assert result.exit_code == 1
    assert "retry after 7 s" in result.stderr


def test_another_program_on_the_port_is_recognised(omni: Omni, platform: Platform) -> None:
    platform.instead["GET", "/v1/models"] = lambda _: Said(404, "<html>not here</html>")
    result = omni("models")
    assert result.exit_code == 1
    assert "answered 404, but not as a platform of this kind would" in result.stderr


def test_an_answer_in_another_shape_is_told(omni: Omni, platform: Platform) -> None:
    platform.instead["GET", "/v1/models"] = lambda _: Said(200, {"data": [{"name": "no id"}]})
    result = omni("models")
    assert result.exit_code == 1
    assert "not what this version of omni can read" in result.stderr


def test_a_connection_that_breaks_is_told(omni: Omni, platform: Platform) -> None:
    def breaks(_: Asked) -> Said:
        return Said(200, stream(Breaks()))

    platform.instead["GET", "/v1/models"] = breaks
    result = omni("models")
    assert result.exit_code == 1
    assert "broke off" in result.stderr


def test_a_bad_setting_is_named(omni: Omni) -> None:
    result = omni("models", OMNI_WORKER_SLOTS="many")
    assert (result.exit_code, result.stderr) == (1, "Error: OMNI_WORKER_SLOTS must be a number, not 'many'.\n")
