"""A webhook receiver on a real socket, which answers as it is told."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Manner = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Message:
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Hook:
    port: int
    scheme: str
    messages: list[Message] = field(default_factory=list)
    manners: list[Manner] = field(default_factory=list)
    """Of the next answers, in order; 200 when there are none left."""
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    def silent(self, handler: BaseHTTPRequestHandler) -> None:
        """Takes the request and never answers."""
        self.closing.wait(60)

    def dripping(self, handler: BaseHTTPRequestHandler) -> None:
        """A header a moment, for ever: no single wait is long."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.closing.wait(0.05):
            handler.wfile.write(b"x-more: 1\r\n")


def status(code: int, **headers: str) -> Manner:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.messages.append(Message(self.path, headers, body))
            manner = hook.manners.pop(0) if hook.manners else status(200)
            try:
                manner(self)
            except ConnectionError:  # the sender has hung up, which is what the test is about
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A connection that broke off is no news here."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    hook = Hook(server.server_port, "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hook
    finally:
        hook.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
