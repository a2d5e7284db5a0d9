"""Google as an issuer of ID tokens: a real RSA key, tokens signed with it, and its certificates on a local port."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

ACCOUNT = "tasks@test-project.iam.gserviceaccount.com"
LIFETIME_S = 3600


class Key:
    """One signing key with its certificate."""

    def __init__(self, key_id: str) -> None:
        self.id = key_id
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=20))
            .sign(key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        self._signer = crypt.RSASigner.from_string(private, key_id)  # type: ignore[no-untyped-call]

    def sign(self, claims: Mapping[str, Any]) -> str:
        token: bytes = jwt.encode(self._signer, claims)  # type: ignore[no-untyped-call]
        return token.decode()


class Google:
    """Signs with its newest key; its certificates are at `certificates_url`, as Google's are."""

    def __init__(self) -> None:
        self.keys = [Key("key-1")]
        self.certificates_url = ""
        self.max_age_s = 3600
        self.asked = 0
        """How often the certificates were fetched."""
        self.status = 200
        self.open = threading.Event()
        """While it is clear, nothing is answered."""
        self.open.set()

    def rotate(self) -> None:
        self.keys = [Key(f"key-{len(self.keys) + 1}"), *self.keys]

    def claims(self, audience: str, email: str = ACCOUNT) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": "https://accounts.google.com",
            "aud": audience,
            "azp": "113774264463038321964",
            "sub": "113774264463038321964",
            "email": email,
            "email_verified": True,
            "iat": now,
            "exp": now + LIFETIME_S,
        }

    def token(self, audience: str, email: str = ACCOUNT, **changes: Any) -> str:
        """An ID token; a claim changed to None is left out."""
        claims = self.claims(audience, email) | changes
        return self.keys[0].sign({name: value for name, value in claims.items() if value is not None})


@contextmanager
def running() -> Iterator[Google]:
    google = Google()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            google.asked += 1
            google.open.wait(30)
            body = json.dumps({key.id: key.certificate for key in google.keys}).encode()
            self.send_response(google.status)
            self.send_header("content-type", "application/json")
            self.send_header("cache-control", f"public, max-age={google.max_age_s}, must-revalidate, no-transform")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # whoever asked has stopped waiting
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        google.certificates_url = f"http://127.0.0.1:{server.server_port}/oauth2/v1/certs"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield google
        finally:
            google.open.set()
            server.shutdown()
