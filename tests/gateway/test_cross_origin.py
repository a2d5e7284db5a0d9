"""Scripts of web pages may call the API from the origins that the operator names, and from no other."""

from pathlib import Path

import pytest

from tests.gateway.conftest import CHAT, World

CHAT_PATH = "/v1/chat/completions"
PAGE = "https://app.example"
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize("origins", [PAGE, f"https://other.example, {PAGE}/", "*"])
def test_204_for_a_preflight_without_a_key(tmp_path: Path, origins: str) -> None:
    world = World(tmp_path, cors_origins=origins)
    answer = world.request("OPTIONS", CHAT_PATH, headers=PREFLIGHT, key="")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_answers_and_errors_may_be_read(tmp_path: Path) -> None:
    world = World(tmp_path, cors_origins=PAGE)
    for key in ("", "prod-key-acme-1"):
        answer = world.request("POST", CHAT_PATH, json=CHAT, headers={"origin": PAGE}, key=key)
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origins", ["", "https://other.example"])
def test_another_page_is_told_nothing(tmp_path: Path, origins: str) -> None:
    world = World(tmp_path, cors_origins=origins)
    assert world.request("OPTIONS", CHAT_PATH, headers=PREFLIGHT, key="").status_code == 405
    answer = world.request("POST", CHAT_PATH, json=CHAT, headers={"origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers
