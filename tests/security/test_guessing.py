"""Ten thousand guesses at keys: none costs the store anything, and who has a key is served meanwhile."""

import asyncio
import random
import re
import string
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.core.keys import digest, is_genuine, managed_id, mint, new_id, static_keys
from tests.gateway.conftest import CHAT
from tests.managed_keys import KeyOffice
from tests.security.gateway import KEY, Gateway

GUESSES, CONNECTIONS = 10_000, 20
HEADERS = {"x-api-key": KEY}


def guess(draw: random.Random) -> str:
    """A text that was not minted here: like a static key, like a managed one with its checksum or without, nonsense."""
    texts = draw.choices(string.ascii_letters + string.digits, k=40)
    return draw.choice(
        [
            "prod-key-acme-" + "".join(texts[:8]),
            "omni_" + "".join(texts[:12]) + "_" + "".join(texts),
            mint(new_id(draw.choice), b"another pepper", draw.choice),
            "".join(texts) * 50,
        ]
    )


async def guess_on(running: Gateway, seed: int) -> set[int]:
    """A share of the guesses on one connection, or another when the gateway has closed an idle one; the statuses."""
    draw, statuses = random.Random(seed), set()
    guesses = [guess(draw) for _ in range(GUESSES // CONNECTIONS)]
    while guesses:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while guesses:
                statuses.add(await _status(reader, writer, guesses[-1]))
                guesses.pop()
        writer.close()
    return statuses


async def _status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> int:
    request = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: 0\r\n\r\n"
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length
    await reader.readexactly(int(length[1]))
    return int(head.split()[1])


def test_guesses_cost_the_store_nothing_and_shut_nobody_out(running: Gateway) -> None:
    before = running.metric("omni_store_reads_total")
    served = []

    async def all_at_once() -> set[int]:
        async with httpx.AsyncClient(base_url=running.url, timeout=20) as client, asyncio.TaskGroup() as group:
            guessing = [group.create_task(guess_on(running, seed)) for seed in range(CONNECTIONS)]
            while not all(task.done() for task in guessing):
                response = await client.post("/v1/chat/completions", json=CHAT, headers=HEADERS)
                served.append(response.status_code)
        return set().union(*(task.result() for task in guessing))

    assert asyncio.run(all_at_once()) <= {401, 429}
    assert set(served) == {200}
    assert running.metric("omni_store_reads_total") == before


def test_a_flood_of_guesses_does_not_flood_the_log(running: Gateway) -> None:
    size = running.log.stat().st_size
    with httpx.Client(base_url=running.url) as client:
        for number in range(500):
            client.get("/v1/models", headers={"x-api-key": f"prod-key-acme-{number}-wrong"})
    assert running.log.stat().st_size - size < 500 * 100


@pytest.mark.parametrize(
    "key", ["é", "\x7f", "key with spaces", "a" * 30_000, "%00", "' OR 1=1 --", "../../keys/x", "{}"]
)
def test_strange_keys_are_wrong_keys(running: Gateway, key: str) -> None:
    raw = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n".encode("latin-1")
    assert running.send(raw).split()[1] in (b"401", b"429", b"400")


@given(st.text(max_size=200) | st.from_regex(r"omni_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}", fullmatch=True))
def test_no_text_is_genuine_that_was_not_minted(text: str) -> None:
    assert managed_id(text) is None or not is_genuine(text, [b"pepper"])


@given(st.text(max_size=100))
def test_any_list_of_static_keys_can_be_read(text: str) -> None:
    for hashed, caller in static_keys(text).items():
        assert len(hashed) == len(digest("")) == 32
        assert caller.tenant


@given(st.integers(0, 2**32), st.integers(0, 54), st.characters(codec="ascii"))
def test_a_genuine_text_with_one_character_changed_is_refused_without_the_store(seed: int, at: int, other: str) -> None:
    draw = random.Random(seed)
    text = mint(new_id(draw.choice), b"pepper", draw.choice)
    assert managed_id(text)
    assert is_genuine(text, [b"pepper"])
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        assert managed_id(changed) is None or not is_genuine(changed, [b"pepper"])


def test_a_genuine_text_of_no_key_is_asked_for_once(running: Gateway) -> None:
    unknown = KeyOffice(SqliteStore(running.state_dir / "omni.db", SystemClock())).unknown()
    with httpx.Client(base_url=running.url, headers={"x-api-key": unknown}) as client:
        client.get("/v1/models")
        before = running.metric('omni_store_reads_total{collection="keys"}')
        for _ in range(50):
            assert client.get("/v1/models").status_code in {401, 429}
    assert running.metric('omni_store_reads_total{collection="keys"}') <= before + 2
