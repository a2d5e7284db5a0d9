"""The connection goes to an address that was checked, and the host keeps its name."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.adapters.httpx_courier import HttpxCourier
from shared.ports.courier import PrivateAddress, Undelivered
from tests import hooks


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server of that name, and for a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(secret + made.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


def test_the_checked_address_is_called_by_the_hosts_name(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "hook.example")
    names: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: names.append(name)
    looked_up: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        looked_up.append((host, port))
        return ["127.0.0.1"]

    with hooks.receiving(server) as hook:
        courier = HttpxCourier(allow_private=True, resolve=resolve, tls=client)
        url = f"https://hook.example:{hook.port}/a%2Fb?c=%20d"
        assert courier.post(url, {"webhook-id": "msg_1"}, b"{}") == 200
    assert looked_up == [("hook.example", hook.port)]
    assert names == ["hook.example"]
    (message,) = hook.messages
    assert message.headers["host"] == f"hook.example:{hook.port}"
    assert message.path == "/a%2Fb?c=%20d"


def test_a_certificate_of_another_name_is_not_believed(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "other.example")
    with hooks.receiving(server) as hook:
        courier = HttpxCourier(allow_private=True, resolve=lambda *_: ["127.0.0.1"], tls=client)
        with pytest.raises(Undelivered, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            courier.post(f"https://hook.example:{hook.port}/", {}, b"{}")
    assert hook.messages == []


def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    with hooks.receiving() as hook:
        courier = HttpxCourier(allow_private=True, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
        assert courier.post(f"http://hook.example:{hook.port}/", {}, b"{}") == 200


@contextmanager
def swallowing(port: int, address: str) -> Iterator[None]:
    """An address whose connections are never made: its queue is full."""
    with ExitStack() as ending:
        listener = ending.enter_context(socket.socket())
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            waiting = ending.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect((address, port))
        yield


def test_the_next_address_is_tried_when_one_swallows_the_connection() -> None:
    with hooks.receiving() as hook, swallowing(hook.port, "127.0.0.2"):
        courier = HttpxCourier(allow_private=True, timeout_s=1.5, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
        assert courier.post(f"http://hook.example:{hook.port}/", {}, b"{}") == 200
    assert len(hook.messages) == 1


def test_an_address_that_says_nothing_of_tls_leaves_time_for_the_next(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "hook.example")
    with hooks.receiving(server) as hook, socket.create_server(("127.0.0.2", hook.port)):
        courier = HttpxCourier(
            allow_private=True, timeout_s=1.5, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"], tls=client
        )
        assert courier.post(f"https://hook.example:{hook.port}/", {}, b"{}") == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "::ffff:10.0.0.1", "64:ff9b::a00:1"])
def test_a_private_address_among_public_ones_is_refused_at_once_and_again_later(address: str) -> None:
    courier = HttpxCourier(allow_private=False, resolve=lambda *_: ["8.8.8.8", address])
    with pytest.raises(PrivateAddress, match=address):
        courier.check("https://hook.example/")
    with pytest.raises(Undelivered, match=address):
        courier.post("https://hook.example/", {}, b"{}")


@pytest.mark.parametrize("url", ["https://0x7f000001/", "https://2130706433/", "https://127.1/", "https://localhost/"])
def test_another_spelling_of_this_machine_is_this_machine(url: str) -> None:
    with pytest.raises(PrivateAddress):
        HttpxCourier(allow_private=False).check(url)


def test_a_name_without_an_address_passes_the_first_check_and_fails_the_delivery() -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    courier = HttpxCourier(allow_private=False, resolve=resolve)
    courier.check("https://hook.example/")
    with pytest.raises(Undelivered, match=r"the name hook\.example has no address"):
        courier.post("https://hook.example/", {}, b"{}")


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with hooks.receiving() as hook:
        assert HttpxCourier(allow_private=True).post(hook.url, {}, b"{}") == 200


def nonsense(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-x\r\n" * 20_000)


def test_what_is_no_http_is_no_answer() -> None:
    with hooks.receiving() as hook:
        hook.manners = [nonsense]
        with pytest.raises(Undelivered, match="RemoteProtocolError"):
            HttpxCourier(allow_private=True).post(hook.url, {}, b"{}")
