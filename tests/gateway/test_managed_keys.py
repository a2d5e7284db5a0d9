"""Managed keys at the gateway: who gets in, from where, to which models, and what guessing brings."""

import asyncio
import logging
import threading
from pathlib import Path

import httpx
import pytest

from functions.gateway import authenticate
from shared.core.errors import Unavailable
from shared.keys.caller_token import Call
from shared.ports.store import Document
from tests.caller_keys import caller_in
from tests.fakes import FakeClock, FakeResponse, FakeStore
from tests.gateway.answers import WHOLE
from tests.gateway.conftest import CHAT, World, problem
from tests.managed_keys import KeyOffice
from tests.waiting import wait_until


class GatedStore(FakeStore):
    """Gives keys when the test says so."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.gate = threading.Event()
        self.gate.set()

    def get(self, collection: str, key: str) -> Document | None:
        if collection == "keys" and not self.gate.wait(10):
            raise Unavailable
        return super().get(collection, key)


@pytest.fixture
def office(world: World) -> KeyOffice:
    return KeyOffice(world.store)


def chat_from(world: World, key: str, forwarded_for: str) -> httpx.Response:
    headers = {"x-forwarded-for": forwarded_for}
    return world.request("POST", "/v1/chat/completions", key, json=CHAT, headers=headers)


def test_200_for_a_managed_key(world: World, office: KeyOffice) -> None:
    assert world.chat(office.new()[1]).status_code == 200


def test_401_for_a_key_that_nobody_made_and_one_look_at_the_store(world: World, office: KeyOffice) -> None:
    key = office.unknown()
    assert [problem(world.chat(key))[0] for _ in range(5)] == [401] * 5
    assert world.store.reads == 2


def test_401_within_5_s_of_a_revocation(world: World, office: KeyOffice) -> None:
    key_id, key = office.new()
    assert world.chat(key).status_code == 200
    office.revoke(key_id)
    world.clock.advance(5)
    assert problem(world.chat(key)) == (401, "invalid_api_key", None)


def test_a_look_for_changes_keeps_no_request_waiting(tmp_path: Path) -> None:
    store = GatedStore()
    world = World(tmp_path, store=store)
    _, key = KeyOffice(store).new()
    assert world.chat(key).status_code == 200
    world.clock.advance(world.settings.key_cache_s - 0.1)
    before = store.reads
    assert world.chat(key).status_code == 200
    wait_until(lambda: store.reads > before, description="a look")


def test_many_requests_with_a_key_not_seen_before_cost_two_reads(tmp_path: Path) -> None:
    store = GatedStore()
    world = World(tmp_path, store=store)
    _, key = KeyOffice(store).new()
    store.gate.clear()
    store.reads = 0

    async def run() -> list[int]:
        asked = [asyncio.create_task(_chat(world, key)) for _ in range(50)]
        await asyncio.sleep(0.1)
        store.gate.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(run()) == [200] * 50
    assert store.reads == 2


def test_503_when_the_store_hangs_and_static_keys_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticate, "WAIT_S", 0.1)
    store = GatedStore()
    world = World(tmp_path, store=store)
    _, key = KeyOffice(store).new()
    store.gate.clear()

    async def run() -> list[int]:
        return [await _chat(world, key), await _chat(world, "prod-key-acme-1")]

    try:
        assert asyncio.run(run()) == [503, 200]
    finally:
        store.gate.set()


async def _chat(world: World, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return (await world.send("POST", "/v1/chat/completions", json=CHAT, headers=headers)).status_code


def test_a_key_bound_to_a_network_works_there_alone(tmp_path: Path) -> None:
    world = World(tmp_path, trusted_proxies=1)
    _, key = KeyOffice(world.store).new(ips=("203.0.113.0/24",))
    assert chat_from(world, key, "203.0.113.7").status_code == 200
    assert chat_from(world, key, "6.6.6.6, 203.0.113.7").status_code == 200
    for elsewhere in ("198.51.100.1", "203.0.113.7, 198.51.100.1", ""):
        assert problem(chat_from(world, key, elsewhere)) == (403, "address_not_allowed", None)


def test_a_caller_cannot_choose_its_address(world: World, office: KeyOffice) -> None:
    """Without a proxy the header is the caller's own; the server in front of the gateway may believe it."""
    _, key = office.new(ips=("127.0.0.1",))
    assert world.chat(key).status_code == 200
    assert problem(chat_from(world, key, "127.0.0.1")) == (403, "address_not_allowed", None)


def test_two_lines_of_the_header_are_one_list(tmp_path: Path) -> None:
    world = World(tmp_path, trusted_proxies=2)
    _, key = KeyOffice(world.store).new(ips=("203.0.113.7",))
    lines = [("authorization", f"Bearer {key}"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "10.0.0.1")]
    response = asyncio.run(world.send("POST", "/v1/chat/completions", json=CHAT, headers=lines))
    assert response.status_code == 200


def test_404_for_a_model_that_the_key_may_not_use(world: World, office: KeyOffice) -> None:
    _, key = office.new(models=frozenset({"elsewhere"}))
    assert world.chat(key, model="elsewhere").status_code == 200
    refused = world.chat(key)
    assert problem(refused) == (404, "model_not_found", "model")
    assert refused.json()["error"]["message"] == world.chat(key, model="gpt-9").json()["error"]["message"].replace(
        "gpt-9", "small"
    )
    assert len(world.upstream.requests) == 1


def test_404_also_when_the_answer_is_kept_from_another_key_of_the_tenant(world: World, office: KeyOffice) -> None:
    _, key = office.new(models=frozenset())
    world.answers(lambda _: FakeResponse.json(WHOLE))
    assert world.chat(temperature=0).status_code == 200
    assert world.chat(temperature=0).headers["x-omni-cache"] == "hit"
    assert problem(world.chat(key, temperature=0)) == (404, "model_not_found", "model")


def test_functions_learn_which_models_the_key_may_use(world: World, office: KeyOffice) -> None:
    _, key = office.new(models=frozenset({"small"}))
    world.request("GET", "/v1/models", key)
    token = dict(world.upstream.requests[0].headers)["x-omni-caller"]
    caller = caller_in(token, Call("models_list", "GET", "/v1/models"), world.clock)
    assert caller is not None
    assert caller.models == frozenset({"small"})


GUESSES = ["wrong", "omni_" + "a" * 12 + "_" + "b" * 38, None]


@pytest.mark.parametrize("guess", GUESSES)
def test_429_after_too_many_guesses_a_minute(world: World, guess: str | None) -> None:
    assert [world.chat(guess).status_code for _ in range(60)] == [401] * 60
    refused = world.chat(guess)
    assert problem(refused) == (429, "too_many_invalid_keys", None)
    assert refused.headers["retry-after"] == "60"
    world.clock.advance(60)
    assert world.chat(guess).status_code == 401


def test_refused_guesses_do_not_fill_the_log(
    world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "omni.requests")
    statuses = [world.chat("wrong").status_code for _ in range(100)]
    assert statuses.count(429) == 40
    assert capfd.readouterr().err.count('"message":"request"') == 60


def test_a_valid_key_gets_in_from_where_guesses_come_from(world: World, office: KeyOffice) -> None:
    """Also one that the gateway has never seen."""
    for _ in range(100):
        world.chat("wrong")
    assert world.chat(office.new()[1]).status_code == 200
    assert world.chat("prod-key-acme-1").status_code == 200


def test_each_address_has_its_own_guesses(tmp_path: Path) -> None:
    world = World(tmp_path, trusted_proxies=1, invalid_keys_per_minute=2)
    statuses = [chat_from(world, "wrong", f"{address}, 198.51.100.1").status_code for address in range(3)]
    assert statuses == [401, 401, 429]
    assert chat_from(world, "wrong", "198.51.100.2").status_code == 401
