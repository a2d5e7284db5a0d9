"""A webhook receiver on this machine: it believes what is signed with one of its secrets, and nothing else."""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from cli.errors import CliError

HOST = "127.0.0.1"
MOST_BYTES = 1024 * 1024
READ_TIMEOUT_S = 10.0


class Payload(msgspec.Struct):
    """What every webhook of the platform holds."""

    type: str
    data: dict[str, object]


@dataclass(frozen=True, slots=True)
class Received:
    id: str
    is_genuine: bool
    body: bytes
    payload: Payload | None
    """None when it is not genuine, or not what the platform sends."""


@dataclass(frozen=True, slots=True)
class Receiver:
    url: str
    messages: "queue.SimpleQueue[Received]" = field(default_factory=queue.SimpleQueue)


@contextmanager
def receiving(secrets: Sequence[str], port: int = 0) -> Iterator[Receiver]:
    """Listens until the context ends; 0 is any free port."""

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_TIMEOUT_S

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                self._answer(413)
                return
            received = judged(self.rfile.read(int(length)), dict(self.headers), secrets)
            self._answer(204 if received.is_genuine else 401)
            receiver.messages.put(received)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The command tells what comes."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise CliError(f"Port {port} cannot be listened on: {error.strerror}.") from None
    server.daemon_threads = True
    receiver = Receiver(f"http://{HOST}:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def judged(body: bytes, headers: dict[str, str], secrets: Sequence[str]) -> Received:
    """Whether one of the secrets signed it, within five minutes of now."""
    is_genuine = any(_is_signed(body, headers, secret) for secret in secrets)
    message_id = next((value for name, value in headers.items() if name.lower() == "webhook-id"), "")
    return Received(message_id, is_genuine, body, _payload(body) if is_genuine else None)


def _is_signed(body: bytes, headers: dict[str, str], secret: str) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # the library lets what is no signature at all fall through
        return False
    return True


def _payload(body: bytes) -> Payload | None:
    try:
        return msgspec.json.decode(body, type=Payload)
    except msgspec.DecodeError:
        return None
