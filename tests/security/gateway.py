"""A gateway as Cloud Functions runs it, and behind it a server that writes down every byte it is sent."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import httpx

from tests.caller_keys import SIGNING
from tests.conftest import SECRETS, SETTINGS
from tests.gateway.answers import DONE, STREAM, WHOLE
from tests.machine import free_port
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
FUNCTIONS_FRAMEWORK = str(Path(sys.executable).with_name("functions-framework"))
KEY, MASTER = "prod-key-acme-1", "master-key-root-1"
CATALOGUE = """
[[model]]
id = "small"
upstreams = [{ worker = true }]

[[model]]
id = "elsewhere"
upstreams = [{ url = "%s/v1", api_key_env = "UPSTREAM_KEY" }]
"""
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Behind(ThreadingTCPServer):
    """Worker, functions and any other upstream in one: answers every request with a completion."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.requests: list[bytes] = []
        """Head and body, as they came."""
        self.answer: Callable[[bytes], bytes] = completion
        """What a request is answered with; after an answer without a length the connection is closed."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(BaseRequestHandler):
    server: Behind

    def handle(self) -> None:
        received = b""
        while data := self._receive():
            received += data
            while (request := _first_request(received)) is not None:
                received = received[len(request) :]
                self.server.requests.append(request)
                answer = self.server.answer(request)
                self.request.sendall(answer)
                if b"content-length" not in answer:
                    return

    def _receive(self) -> bytes:
        try:
            found: bytes = self.request.recv(65536)
        except OSError:
            return b""
        return found


def _first_request(received: bytes) -> bytes | None:
    head, separator, _ = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    length = LENGTH.search(head)
    end = len(head) + 4 + (int(length[1]) if length else 0)
    return received[:end] if len(received) >= end else None


def completion(request: bytes) -> bytes:
    if b'"stream": true' in request or b'"stream":true' in request:
        body = b"".join(STREAM) + DONE
        return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    body = json.dumps(WHOLE).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def serving(server: Behind) -> Iterator[Behind]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Gateway:
    port: int
    behind: Behind
    process: subprocess.Popen[bytes]
    log: Path
    state_dir: Path
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"

    def send(self, *parts: bytes, timeout_s: float = 20.0) -> bytes:
        """Sends raw bytes; all that is answered until the gateway closes, or nothing more comes for a moment."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            answer = b""
            try:
                for part in parts:
                    connection.sendall(part)
                answer = connection.recv(65536)
                connection.settimeout(0.3)
                while more := connection.recv(65536):
                    answer += more
            except (TimeoutError, ConnectionError):
                pass
            return answer

    def processes(self) -> list[int]:
        """The server's master and the processes that it forked."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def metric(self, name: str) -> float:
        """The sum of all the metric's series."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Gateway]:
    port, catalogue, log = free_port(), folder / "models.toml", folder / "gateway.log"
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
    with serving(Behind()) as behind, log.open("wb") as output:
        catalogue.write_text(CATALOGUE % behind.url)
        process = subprocess.Popen(
            [FUNCTIONS_FRAMEWORK, "--target", "gateway", "--asgi"],
            cwd=CHECKOUT,
            env=inherited | environment(folder, behind.url, port, catalogue) | settings,
            stdout=output,
            stderr=output,
        )
        try:
            wait_until(lambda: _is_healthy(port), description="the gateway", within_s=60)
            yield Gateway(port, behind, process, log, folder)
        finally:
            process.terminate()
            process.wait(20)


def environment(folder: Path, behind_url: str, port: int, catalogue: Path) -> dict[str, str]:
    return {
        "OMNI_ENV": "local",
        "OMNI_STATE_DIR": str(folder),
        "OMNI_MODELS_FILE": str(catalogue),
        "OMNI_WORKER_URL": behind_url,
        "OMNI_ROUTES_URL": behind_url,
        "API_KEYS": f"{KEY},{MASTER}",
        **SIGNING,
        "OMNI_KEY_PEPPER": "pepper",
        "UPSTREAM_KEY": "sk-upstream-1",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }


def _is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health").status_code == 200
    except httpx.TransportError:
        return False
