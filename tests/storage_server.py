"""A local server that speaks as much of Cloud Storage's JSON API as its real client uses here.

Objects appear whole when their upload is complete. Requests can be made to fail.
"""

import base64
import gc
import itertools
import json
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from google_crc32c import value as crc32c

BUCKET = "bodies"
PAGE = 2
"""Objects in a page of a list: few, so that the client has to ask again."""


@dataclass(frozen=True, slots=True)
class Stored:
    body: bytes
    generation: int


class StorageServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Stored] = {}
        self.sessions: dict[str, tuple[str, bytearray]] = {}
        self.failures = 0
        """How many of the next requests are answered with 503."""
        self.requests = 0
        self.numbers = itertools.count(1)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news; whatever else goes wrong shows in what the client gets."""

    def store(self, name: str, body: bytes) -> dict[str, str]:
        self.objects[name] = Stored(body, next(self.numbers))
        return self.resource(name)

    def resource(self, name: str) -> dict[str, str]:
        stored = self.objects[name]
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "size": str(len(stored.body)),
            "generation": str(stored.generation),
            "crc32c": _checksum(stored.body),
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StorageServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""

    def do_GET(self) -> None:
        self._routed("GET")

    def do_POST(self) -> None:
        self._routed("POST")

    def do_PUT(self) -> None:
        self._routed("PUT")

    def do_DELETE(self) -> None:
        self._routed("DELETE")

    def _routed(self, method: str) -> None:
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.given = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.requests += 1
        if self.server.failures:
            self.server.failures -= 1
            self._json(503, {"error": {"code": 503, "message": "try again"}})
            return
        objects = re.fullmatch(rf"(?:/(upload|download))?/storage/v1/b/{BUCKET}/o(?:/(.*))?", parts.path)
        if objects is None:
            self._json(404, {"error": {"code": 404, "message": "no such bucket"}})
        elif objects[1] == "upload":
            (self._chunk if method == "PUT" else self._upload)()
        elif objects[2] is None:
            self._list()
        elif (name := unquote(objects[2])) not in self.server.objects:
            self._json(404, {"error": {"code": 404, "message": "no such object"}})
        elif method == "DELETE":
            del self.server.objects[name]
            self._answer(204, b"")
        elif self.query.get("alt") == "media":
            self._download(self.server.objects[name])
        else:
            self._json(200, self.server.resource(name))

    def _upload(self) -> None:
        if self.query["uploadType"] == "resumable":
            session = str(next(self.server.numbers))
            name = self.query.get("name") or json.loads(self.given)["name"]
            self.server.sessions[session] = name, bytearray()
            location = f"{self.server.url}/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&upload_id={session}"
            self._answer(200, b"{}", ("location", location))
            return
        whole = b"Content-Type: " + self.headers["content-type"].encode() + b"\r\n\r\n" + self.given
        meta, media = message_from_bytes(whole, policy=HTTP).iter_parts()
        described = json.loads(meta.get_content())
        # The parser takes the line break before the boundary for the boundary's.
        body = self.given.split(b"\r\n\r\n", 2)[2].rpartition(b"\r\n--")[0]
        assert media["content-type"]
        self._json(200, self.server.store(described["name"], body))

    def _chunk(self) -> None:
        session = self.query["upload_id"]
        name, body = self.server.sessions[session]
        first, last, total = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", self.headers["content-range"]).groups()  # type: ignore[union-attr]
        if first is not None:
            assert int(first) == len(body)
            assert int(last) - int(first) + 1 == len(self.given)
            body += self.given
        if total != "*" and len(body) == int(total):
            self._json(200, self.server.store(name, bytes(body)))
        else:
            self._answer(308, b"", *([("range", f"bytes=0-{len(body) - 1}")] if body else []))

    def _download(self, stored: Stored) -> None:
        if int(self.query.get("generation", stored.generation)) != stored.generation:
            self._json(404, {"error": {"code": 404, "message": "no such generation"}})
            return
        checksum = ("x-goog-hash", f"crc32c={_checksum(stored.body)}")
        if not (asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")):
            self._answer(200, stored.body, checksum)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(stored.body)), len(stored.body) - 1)
        if first > last:
            self._json(416, {"error": {"code": 416, "message": "no such range"}})
            return
        span = ("content-range", f"bytes {first}-{last}/{len(stored.body)}")
        self._answer(206, stored.body[first : last + 1], span, checksum)

    def _list(self) -> None:
        names = sorted(name for name in self.server.objects if name.startswith(self.query.get("prefix", "")))
        first = int(self.query.get("pageToken", 0))
        page = {"kind": "storage#objects", "items": [self.server.resource(n) for n in names[first : first + PAGE]]}
        self._json(200, page | ({"nextPageToken": str(first + PAGE)} if first + PAGE < len(names) else {}))

    def _json(self, status: int, value: object) -> None:
        self._answer(status, json.dumps(value).encode(), ("content-type", "application/json"))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _checksum(body: bytes) -> str:
    return base64.b64encode(crc32c(body).to_bytes(4, "big")).decode()


@contextmanager
def running() -> Iterator[StorageServer]:
    with StorageServer() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()
            _bury_connections()


def _bury_connections() -> None:
    """The client drops the connections of answers that it did not read to their end; they are collected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
