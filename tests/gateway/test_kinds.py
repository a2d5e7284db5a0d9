"""A model is asked only for what it can do, and whoever asks another is told which models can."""

from pathlib import Path

import pytest

from tests.fakes import FakeResponse
from tests.gateway.conftest import COMPLETION, World

MODELS = """
[[model]]
id = "embed-only"
kinds = ["embedding"]
upstreams = [{ url = "https://x.example/v1" }]
[[model]]
id = "chat-only"
kinds = ["chat"]
upstreams = [{ url = "https://x.example/v1" }]
[[model]]
id = "both"
upstreams = [{ url = "https://x.example/v1" }]
"""
CHAT: tuple[str, dict[str, object]] = ("/v1/chat/completions", {"messages": []})
TEXT: tuple[str, dict[str, object]] = ("/v1/completions", {"prompt": "a"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    models = tmp_path / "kinds.toml"
    models.write_text(MODELS)
    world = World(tmp_path, models_file=models)
    world.answers(lambda _: FakeResponse.json(COMPLETION))
    return world


@pytest.mark.parametrize(
    ("asked", "model", "able"), [(CHAT, "embed-only", "chat-only, both"), (TEXT, "chat-only", "both")]
)
def test_400_names_the_models_that_can(
    world: World, asked: tuple[str, dict[str, object]], model: str, able: str
) -> None:
    path, body = asked
    answer = world.request("POST", path, json=body | {"model": model})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_model", "model")
    assert error["message"].endswith(f"These can: {able}.")
    assert world.upstream.requests == []


@pytest.mark.parametrize(("asked", "model"), [(CHAT, "chat-only"), (CHAT, "both"), (TEXT, "both")])
def test_200_for_what_a_model_can(world: World, asked: tuple[str, dict[str, object]], model: str) -> None:
    path, body = asked
    assert world.request("POST", path + "/", json=body | {"model": model}).status_code == 200
