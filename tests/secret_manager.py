"""Secret Manager on a local port: a real HTTP server that speaks the service's protocol, its state in memory."""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceRestTransport

PROJECT = "test-project"
DISABLED = None

Refusal = tuple[HTTPStatus, str]
"""A status and Google's name for what is wrong."""
UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"
FORBIDDEN = HTTPStatus.FORBIDDEN, "PERMISSION_DENIED"
OVER_QUOTA = HTTPStatus.TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"
NOT_FOUND = HTTPStatus.NOT_FOUND, "NOT_FOUND"
IS_DISABLED = HTTPStatus.BAD_REQUEST, "FAILED_PRECONDITION"


class SecretManager:
    """Every secret with its versions, oldest first; a version is its bytes, or DISABLED."""

    def __init__(self) -> None:
        self.versions: dict[str, list[bytes | None]] = {}
        self.asked: list[str] = []
        self.refusal: Refusal | None = None
        """What every call is refused with."""
        self.port = 0

    def set(self, values: Mapping[str, str]) -> None:
        """A new version for each."""
        for name, value in values.items():
            self.versions.setdefault(name, []).append(value.encode())

    def connect(self) -> SecretManagerServiceClient:
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        transport = SecretManagerServiceRestTransport(
            host=f"127.0.0.1:{self.port}", url_scheme="http", credentials=nobody
        )
        return SecretManagerServiceClient(transport=transport)

    def access(self, path: str) -> bytes | Refusal:
        """The data of the version at `projects/…/secrets/…/versions/…`, or why there is none."""
        self.asked.append(path)
        if self.refusal:
            return self.refusal
        _, project, _, name, _, version = path.split("/")
        versions = self.versions.get(name, []) if project == PROJECT else []
        number = len(versions) if version == "latest" else int(version)
        if not 1 <= number <= len(versions):
            return NOT_FOUND
        data = versions[number - 1]
        return IS_DISABLED if data is DISABLED else data


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """Buffered: an answer is one packet."""

    def __init__(self, manager: SecretManager, *connection: Any) -> None:
        self._manager = manager
        super().__init__(*connection)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/v1/").removesuffix(":access")
        match self._manager.access(path):
            case bytes(data):
                self._answer(HTTPStatus.OK, {"name": path, "payload": {"data": base64.b64encode(data).decode()}})
            case status, reason:
                self._answer(status, {"error": {"code": status, "message": f"Refused: [{path}].", "status": reason}})

    def log_message(self, *_: object) -> None:
        """Tests read their own output."""

    def _answer(self, status: HTTPStatus, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running() -> Iterator[SecretManager]:
    manager = SecretManager()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, manager)) as server:
        server.daemon_threads = True
        manager.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield manager
        server.shutdown()
