"""Four gateways on one store: a change of a key reaches all of them, and costs next to nothing to look for."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.keys.memory import LOOK_AHEAD_S
from shared.settings import Settings
from tests.caller_keys import SIGNING
from tests.conftest import SECRETS, SETTINGS
from tests.machine import free_port
from tests.managed_keys import PEPPER, KeyOffice
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parent.parent.parent
FUNCTIONS_FRAMEWORK = str(Path(sys.executable).with_name("functions-framework"))
READS = re.compile(r'^omni_store_reads_total\{collection="(?:keys|changes)"\} ([0-9.]+)', re.MULTILINE)
ASKED = {"model": "none", "messages": []}
"""Answered with 404 by a gateway that accepts the key: no upstream is needed."""

STREAMED = {"model": "endless", "messages": [], "stream": True}

PROCESSES = 4
KEYS = 51
"""Odd, so that in turn every key meets every gateway."""
REQUESTS_PER_S = 240
STEADY_S = 9.0
MOST_READS_PER_1000 = 5
SEEN_WITHIN_S = 5.0
LOOKS_EVERY_S = Settings().key_cache_s - LOOK_AHEAD_S


class EndlessAnswer(BaseHTTPRequestHandler):
    """A model that never stops talking."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        with suppress(ConnectionError):
            while True:
                self.wfile.write(b'data: {"choices":[{"index":0,"delta":{"content":"on "}}]}\n\n')
                time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def endless_upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EndlessAnswer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


@contextmanager
def gateway(state_dir: Path, models: Path) -> Iterator[str]:
    """A gateway as Cloud Functions runs it."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS} | {
        "OMNI_ENV": "local",
        "OMNI_STATE_DIR": str(state_dir),
        "OMNI_LOG_LEVEL": "WARNING",
        "OMNI_MODELS_FILE": str(models),
        **SIGNING,
        "OMNI_KEY_PEPPER": PEPPER.decode(),
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    process = subprocess.Popen([FUNCTIONS_FRAMEWORK, "--target", "gateway", "--asgi"], cwd=CHECKOUT, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_healthy(url), description="a gateway", within_s=60)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health").status_code == 200
    except httpx.TransportError:
        return False


class Fleet:
    """The gateways as their callers see them."""

    def __init__(self, clients: Sequence[httpx.AsyncClient]) -> None:
        self.clients = clients

    async def accepts(self, client: httpx.AsyncClient, key: str) -> bool:
        headers = {"authorization": f"Bearer {key}"}
        status = (await client.post("/v1/chat/completions", json=ASKED, headers=headers)).status_code
        assert status in (401, 404)
        return status == 404

    async def drive(self, keys: Sequence[str], seconds: float) -> int:
        """Sends REQUESTS_PER_S, spread over gateways and keys; how many were sent."""
        began, sent, running = time.monotonic(), 0, set[asyncio.Task[bool]]()
        pairs = zip(cycle(self.clients), cycle(keys), strict=False)
        while (now := time.monotonic()) < began + seconds:
            await asyncio.sleep(max(0.0, began + sent / REQUESTS_PER_S - now))
            task = asyncio.create_task(self.accepts(*next(pairs)))
            running.add(task)
            task.add_done_callback(running.discard)
            sent += 1
        assert all(await asyncio.gather(*running))
        return sent

    async def reads(self) -> float:
        """Documents that all gateways have read of keys and their changes."""
        pages = [(await client.get("/metrics")).text for client in self.clients]
        return sum(float(count) for page in pages for count in READS.findall(page))

    async def cut_off_after(
        self, client: httpx.AsyncClient, key: str, begun: asyncio.Event, revoked: asyncio.Event
    ) -> float:
        """Seconds from the revocation until a stream that runs ends, and it ends with an error."""
        headers, told, began = {"authorization": f"Bearer {key}"}, "", 0.0
        async with client.stream("POST", "/v1/chat/completions", json=STREAMED, headers=headers) as response:
            async for text in response.aiter_text():
                begun.set()
                began = began or (time.monotonic() if revoked.is_set() else 0.0)
                told = (told + text)[-2000:]
        assert '"invalid_api_key"' in told
        return time.monotonic() - began

    async def refused_after(self, client: httpx.AsyncClient, key: str) -> float:
        """Seconds until the gateway refuses the key, which it may well never do."""
        began = time.monotonic()
        while await self.accepts(client, key):  # noqa: ASYNC110 (nothing tells when it does not)
            await asyncio.sleep(0.1)
        return time.monotonic() - began


@asynccontextmanager
async def fleet(urls: Sequence[str]) -> AsyncIterator[Fleet]:
    async with (
        httpx.AsyncClient(base_url=urls[0]) as first,
        httpx.AsyncClient(base_url=urls[1]) as second,
        httpx.AsyncClient(base_url=urls[2]) as third,
        httpx.AsyncClient(base_url=urls[3]) as fourth,
    ):
        yield Fleet((first, second, third, fourth))


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateways")


@pytest.fixture(scope="module")
def urls(state_dir: Path) -> Iterator[list[str]]:
    with ExitStack() as running:
        models = state_dir / "models.toml"
        upstream = running.enter_context(endless_upstream())
        models.write_text(f'[[model]]\nid = "endless"\nupstreams = [{{ url = "{upstream}" }}]\n')
        yield [running.enter_context(gateway(state_dir, models)) for _ in range(PROCESSES)]


@pytest.fixture(scope="module")
def office(state_dir: Path) -> KeyOffice:
    return KeyOffice(SqliteStore(state_dir / "omni.db", SystemClock()))


def test_looking_for_changes_costs_few_reads(urls: list[str], office: KeyOffice) -> None:
    keys = [office.new(requests_per_minute=0)[1] for _ in range(KEYS)]

    async def run() -> tuple[int, float, float]:
        async with fleet(urls) as gateways:
            for client in gateways.clients:
                assert all([await gateways.accepts(client, key) for key in keys])
            began, before = time.monotonic(), await gateways.reads()
            sent = await gateways.drive(keys, STEADY_S)
            return sent, await gateways.reads() - before, time.monotonic() - began

    sent, reads, seconds = asyncio.run(run())
    per_1000 = reads / sent * 1000
    sys.stdout.write(
        f"\n{PROCESSES} gateways, {KEYS} keys, {sent / seconds:.0f} requests/s for {seconds:.0f} s: "
        f"{reads:g} store reads, {per_1000:.2f} per 1,000 requests\n"
    )
    # A look every so often costs one read, however many requests and keys there are: a busy machine changes nothing.
    assert 0 < reads <= PROCESSES * (seconds / LOOKS_EVERY_S + 1)
    assert PROCESSES / LOOKS_EVERY_S / REQUESTS_PER_S * 1000 <= MOST_READS_PER_1000


def test_a_revoked_key_stops_everywhere(urls: list[str], office: KeyOffice) -> None:
    """Eight keys, one after the other, so that they meet the gateways at every point between two looks."""
    keys = [office.new(requests_per_minute=0) for _ in range(8)]

    async def revoke(gateways: Fleet, key_id: str, key: str, wait_s: float) -> list[float]:
        assert all([await gateways.accepts(client, key) for client in gateways.clients])
        await asyncio.sleep(wait_s)
        await asyncio.to_thread(office.revoke, key_id)
        return await asyncio.gather(*(gateways.refused_after(client, key) for client in gateways.clients))

    async def run() -> list[float]:
        async with fleet(urls) as gateways:
            waits = (revoke(gateways, key_id, key, n * 0.6) for n, (key_id, key) in enumerate(keys))
            return sorted(seconds for each in await asyncio.gather(*waits) for seconds in each)

    seconds = asyncio.run(run())
    sys.stdout.write(
        f"\n{len(keys)} keys revoked, {PROCESSES} gateways: refused after {seconds[len(seconds) // 2]:.2f} s (median), "
        f"{seconds[-1]:.2f} s (last)\n"
    )
    assert len(seconds) == len(keys) * PROCESSES
    assert seconds[-1] <= SEEN_WITHIN_S


def test_streams_of_a_revoked_key_end_everywhere(urls: list[str], office: KeyOffice) -> None:
    key_id, key = office.new(requests_per_minute=0)

    async def run() -> list[float]:
        async with fleet(urls) as gateways:
            revoked, begun = asyncio.Event(), [asyncio.Event() for _ in gateways.clients]
            streams = [
                asyncio.create_task(gateways.cut_off_after(client, key, event, revoked))
                for client, event in zip(gateways.clients, begun, strict=True)
            ]
            await asyncio.gather(*(event.wait() for event in begun))
            await asyncio.to_thread(office.revoke, key_id)
            revoked.set()
            return sorted(await asyncio.gather(*streams))

    seconds = asyncio.run(run())
    sys.stdout.write(f"\n{PROCESSES} gateways: streams of a revoked key ended after {seconds[-1]:.2f} s (last)\n")
    assert seconds[-1] <= SEEN_WITHIN_S
