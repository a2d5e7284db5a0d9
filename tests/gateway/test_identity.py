"""Cloud Run lets in only who proves to be the gateway, so every call to functions and worker carries a proof."""

from pathlib import Path

import pytest

from shared.core.errors import Unavailable
from tests.gateway.conftest import SECRETS, World


class FakeIdentity:
    def __init__(self) -> None:
        self.is_down = False
        self._known: set[str] = set()

    def token(self, audience: str) -> str:
        if self.is_down:
            raise Unavailable(detail="no metadata server")
        self._known.add(audience)
        return f"proof for {audience}"

    def is_at_hand(self, audience: str) -> bool:
        return audience in self._known


@pytest.fixture
def identity() -> FakeIdentity:
    return FakeIdentity()


@pytest.fixture
def world(tmp_path: Path, identity: FakeIdentity) -> World:
    routes_url, worker_url = "https://omni-{name}-1.run.app", "https://omni-worker-1.run.app"
    return World(tmp_path, identity=identity, routes_url=routes_url, worker_url=worker_url)


def test_a_function_is_called_by_its_own_address_with_a_proof_for_it(world: World) -> None:
    world.request("GET", "/v1/models")
    (request,) = world.upstream.requests
    assert request.url == "https://omni-models-list-1.run.app/internal/v1/models"
    assert dict(request.headers)["authorization"] == "Bearer proof for https://omni-models-list-1.run.app"


def test_the_worker_is_called_with_a_proof(world: World) -> None:
    for _ in range(2):
        assert world.chat().status_code == 200
    assert [dict(each.headers)["authorization"] for each in world.upstream.requests] == [
        "Bearer proof for https://omni-worker-1.run.app"
    ] * 2


def test_another_upstream_gets_its_own_key_and_never_a_proof(world: World) -> None:
    world.chat(model="alone")
    (request,) = world.upstream.requests
    assert dict(request.headers)["authorization"] == f"Bearer {SECRETS['FIRST_KEY']}"


def test_without_a_proof_the_caller_is_told_to_come_again(world: World, identity: FakeIdentity) -> None:
    identity.is_down = True
    assert world.request("GET", "/v1/models").status_code == 503
    assert world.chat().status_code == 503
    assert world.upstream.requests == []
