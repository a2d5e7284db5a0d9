"""`Idempotency-Key` over several gateway processes that share one store."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from shared.adapters.file_blobs import FileBlobs
from shared.adapters.sqlite_store import SqliteStore
from shared.core.errors import Conflict
from shared.idempotency import LEASE_S, Claim, IdempotencyKeys, KeyedRequest
from tests.caller_keys import SIGNING
from tests.fakes import FakeClock
from tests.gateway.answers import WHOLE
from tests.gateway.conftest import CATALOGUE, CHAT
from tests.machine import free_port
from tests.stored import documents
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
FRAMEWORK = str(Path(sys.executable).with_name("functions-framework"))
HEADERS = {"authorization": "Bearer prod-key-acme-1", "idempotency-key": "order-42"}


class Model(ThreadingHTTPServer):
    """A model's server that takes its time, and counts."""

    daemon_threads = True

    def __init__(self, takes_s: float) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.takes_s = takes_s
        self.asked = 0
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        with self.server.counting:
            self.server.asked += 1
        time.sleep(self.server.takes_s)
        body = json.dumps(WHOLE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests count."""


@contextmanager
def serving(takes_s: float) -> Iterator[Model]:
    with Model(takes_s) as model:
        thread = threading.Thread(target=model.serve_forever)
        thread.start()
        yield model
        model.shutdown()
        thread.join()


class Gateway:
    """A gateway process, started as in production."""

    def __init__(self, folder: Path, model: Model) -> None:
        (folder / "models.toml").write_text(CATALOGUE)
        self.port = free_port()
        environment = os.environ | {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "OMNI_ENV": "local",
            "OMNI_STATE_DIR": str(folder),
            "OMNI_MODELS_FILE": str(folder / "models.toml"),
            "OMNI_WORKER_URL": model.url,
            **SIGNING,
            "API_KEYS": "prod-key-acme-1",
        }
        command = [FRAMEWORK, "--target", "gateway", "--asgi"]
        self._process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, start_new_session=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_up(self) -> bool:
        try:
            return httpx.get(self.url + "/api/health").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def gateways(folder: Path, model: Model, count: int) -> Iterator[list[Gateway]]:
    with ExitStack() as stack:
        started = []
        for _ in range(count):
            gateway = Gateway(folder, model)
            stack.callback(gateway.kill)
            started.append(gateway)
        for gateway in started:
            wait_until(gateway.is_up, description="the gateway answers", within_s=60)
        yield started


async def ask(client: httpx.AsyncClient, gateway: Gateway) -> httpx.Response:
    return await client.post(gateway.url + "/v1/chat/completions", json=CHAT, headers=HEADERS)


def test_of_50_requests_with_one_key_at_4_processes_the_model_sees_one(tmp_path: Path) -> None:
    async def run(model: Model, started: list[Gateway]) -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            at_once = await asyncio.gather(*(ask(client, started[n % 4]) for n in range(50)))
            first = [each for each in at_once if each.status_code == 200 and "idempotency-replayed" not in each.headers]
            assert len(first) == 1
            assert {each.status_code for each in at_once} <= {200, 409}
            assert sum(each.status_code == 409 for each in at_once) > 0
            for gateway in started:
                again = await ask(client, gateway)
                assert (again.headers["idempotency-replayed"], again.json()) == ("true", WHOLE)
        assert model.asked == 1

    with serving(takes_s=1) as model, gateways(tmp_path, model, 4) as started:
        asyncio.run(run(model, started))


def test_a_killed_process_frees_its_key_when_its_lease_ends(tmp_path: Path) -> None:
    with serving(takes_s=30) as model, gateways(tmp_path, model, 1) as (gateway,):
        thread = threading.Thread(target=pytest.raises, args=(httpx.TransportError, ask_and_wait, gateway))
        thread.start()
        wait_until(lambda: model.asked, description="the model is asked")
        gateway.kill()
        thread.join()

    clock = FakeClock(time.time())
    store = SqliteStore(tmp_path / "omni.db", clock)
    (left,) = documents(tmp_path, "idempotency")
    keys = IdempotencyKeys(store, FileBlobs(tmp_path))
    request = KeyedRequest("acme", "order-42", left["fingerprint"])
    with pytest.raises(Conflict):
        keys.claim(request)
    clock.advance(LEASE_S + 1)
    assert isinstance(keys.claim(request), Claim)


def ask_and_wait(gateway: Gateway) -> None:
    httpx.post(gateway.url + "/v1/chat/completions", json=CHAT, headers=HEADERS, timeout=60)
