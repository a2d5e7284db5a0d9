"""Secrets that change, or cannot be read, while the gateway runs."""

from pathlib import Path

import pytest

from shared.keys.caller_token import WORKER, Call
from shared.settings import SettingsError
from tests.caller_keys import OTHER_PRIVATE_KEY, OTHER_PUBLIC_KEY, caller_in
from tests.fakes import FakeSecrets
from tests.gateway.conftest import SECRETS, World, problem
from tests.managed_keys import KeyOffice

KEY = "prod-key-acme-1"


@pytest.fixture
def secrets() -> FakeSecrets:
    return FakeSecrets(**SECRETS)


@pytest.fixture
def world(tmp_path: Path, secrets: FakeSecrets) -> World:
    return World(tmp_path, secrets=secrets)


def sent(world: World, name: str) -> str:
    """A header of the last request upstream."""
    return dict(world.upstream.requests[-1].headers)[name]


def test_new_static_keys_are_used_without_a_restart(world: World, secrets: FakeSecrets) -> None:
    secrets.values["API_KEYS"] = "prod-key-acme-9"
    assert world.chat(KEY).status_code == 200
    secrets.grow_old()
    assert problem(world.chat(KEY))[0] == 401
    assert world.chat("prod-key-acme-9").status_code == 200


def test_a_new_pepper_is_used_without_a_restart(world: World, secrets: FakeSecrets) -> None:
    _, old = KeyOffice(world.store).new()
    _, new = KeyOffice(world.store, b"newer", seed=2).new()
    assert [world.chat(key).status_code for key in (old, new)] == [200, 401]
    secrets.values["OMNI_KEY_PEPPER"] = "newer,pepper"
    secrets.grow_old()
    assert [world.chat(key).status_code for key in (old, new)] == [200, 200]


def test_a_new_signing_key_is_used_within_the_life_of_a_signature(world: World, secrets: FakeSecrets) -> None:
    world.chat(KEY)
    secrets.values["OMNI_CALLER_PRIVATE_KEY"] = OTHER_PRIVATE_KEY
    secrets.grow_old()
    world.clock.advance(31)
    world.chat(KEY)
    call = Call(WORKER, "POST", "/v1/chat/completions")
    assert caller_in(sent(world, "x-omni-caller"), call, world.clock, OTHER_PUBLIC_KEY)


def test_a_new_upstream_key_is_used_without_a_restart(world: World, secrets: FakeSecrets) -> None:
    world.chat(KEY, model="elsewhere")
    assert sent(world, "authorization") == "Bearer sk-first"
    secrets.values["FIRST_KEY"] = "sk-second"
    secrets.grow_old()
    world.chat(KEY, model="elsewhere")
    assert sent(world, "authorization") == "Bearer sk-second"


def test_503_while_secrets_cannot_be_read_and_200_as_soon_as_they_can(tmp_path: Path, secrets: FakeSecrets) -> None:
    secrets.is_down = True
    world = World(tmp_path, secrets=secrets)
    assert problem(world.chat(KEY)) == (503, "unavailable", None)
    ready = world.request("GET", "/ready", None)
    assert ready.status_code == 503
    assert ready.json()["services"]["secrets"] != "ok"
    assert world.request("GET", "/api/health", None).status_code == 200
    secrets.is_down = False
    assert world.chat(KEY).status_code == 200
    world.clock.advance(1.1)
    assert world.request("GET", "/ready", None).status_code == 200


@pytest.mark.parametrize("is_down", [False, True], ids=["the secret is missing", "its source is down"])
def test_an_upstream_whose_key_we_lack_is_passed_over(world: World, secrets: FakeSecrets, *, is_down: bool) -> None:
    world.chat(KEY)
    secrets.is_down = is_down
    secrets.values.pop("FIRST_KEY")
    assert world.chat(KEY, model="elsewhere").status_code == 200
    (_, sent_) = world.upstream.requests
    assert sent_.url.startswith("https://second.example/")
    assert "authorization" not in dict(sent_.headers)


def test_503_when_the_only_upstreams_key_is_not_there_and_nobody_else_is_blamed(
    world: World, secrets: FakeSecrets
) -> None:
    key = secrets.values.pop("FIRST_KEY")
    for _ in range(10):
        assert problem(world.chat(KEY, model="alone"))[:2] == (503, "unavailable")
    assert not world.upstream.requests
    secrets.values["FIRST_KEY"] = key
    secrets.grow_old()
    assert world.chat(KEY, model="alone").status_code == 200


@pytest.mark.parametrize("missing", [{"API_KEYS", "OMNI_KEY_PEPPER"}, {"OMNI_CALLER_PRIVATE_KEY"}])
def test_what_is_missing_at_the_start_is_named(tmp_path: Path, missing: set[str]) -> None:
    left = {name: value for name, value in SECRETS.items() if name not in missing}
    with pytest.raises(SettingsError) as refusal:
        World(tmp_path, secrets=FakeSecrets(**left))
    assert all(name in str(refusal.value) for name in missing)
