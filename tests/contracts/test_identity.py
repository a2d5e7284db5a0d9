"""ID tokens, from a metadata server that answers as Google's does."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.adapters.metadata_identity import MARGIN_S, MetadataIdentity
from shared.core.errors import Unavailable
from tests.fakes import FakeClock
from tests.machine import free_port

AUDIENCE = "https://omni-jobs-get-1.europe-west4.run.app"
LIFE_S = 3600.0


class MetadataServer(ThreadingHTTPServer):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.clock = clock
        self.asked: list[str] = []
        self.answer: bytes | None = None
        """In place of a token."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: MetadataServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        genuine = url.path.endswith("/default/identity") and self.headers["Metadata-Flavor"] == "Google"
        (audience,) = parse_qs(url.query)["audience"]
        self.server.asked.append(audience)
        body = self.server.answer or token(audience, self.server.clock.now() + LIFE_S)
        self.send_response(200 if genuine else 403)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def token(audience: str, expires: float) -> bytes:
    claims = base64.urlsafe_b64encode(json.dumps({"aud": audience, "exp": int(expires)}).encode()).rstrip(b"=")
    return b"e30." + claims + b".c2lnbmVk"


@pytest.fixture
def server() -> Iterator[MetadataServer]:
    with MetadataServer(FakeClock()) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def identity(server: MetadataServer) -> MetadataIdentity:
    return MetadataIdentity(server.host, server.clock)


def test_a_token_is_for_one_audience(server: MetadataServer, identity: MetadataIdentity) -> None:
    assert identity.token(AUDIENCE) == token(AUDIENCE, server.clock.now() + LIFE_S).decode()
    assert identity.token("https://other.example") != identity.token(AUDIENCE)
    assert server.asked == [AUDIENCE, "https://other.example"]


def test_a_token_is_kept_until_its_last_minutes(server: MetadataServer, identity: MetadataIdentity) -> None:
    assert not identity.is_at_hand(AUDIENCE)
    first = identity.token(AUDIENCE)
    server.clock.advance(LIFE_S - MARGIN_S - 1)
    assert identity.is_at_hand(AUDIENCE)
    assert identity.token(AUDIENCE) == first
    server.clock.advance(2)
    assert not identity.is_at_hand(AUDIENCE)
    assert identity.token(AUDIENCE) != first


@pytest.mark.parametrize("answer", [b"", b"no token", b"a.b.c", b"e30.e30.c", b"\xff"])
def test_what_is_no_token_is_never_shown_to_anyone(
    server: MetadataServer, identity: MetadataIdentity, answer: bytes
) -> None:
    server.answer = answer or b" "
    with pytest.raises(Unavailable):
        identity.token(AUDIENCE)


def test_without_a_metadata_server_it_is_unavailable() -> None:
    with pytest.raises(Unavailable) as refusal:
        MetadataIdentity(f"127.0.0.1:{free_port()}", FakeClock()).token(AUDIENCE)
    assert "metadata server" in (refusal.value.detail or "")
