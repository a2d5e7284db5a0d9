"""The local stack's secrets: made once, kept in the state folder, readable by their owner alone."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TENANT = "local"
FILE = "secrets.json"


class UnusableCredentials(Exception):
    """The file that keeps the secrets is damaged."""


@dataclass(frozen=True, slots=True)
class Credentials:
    key_pepper: str
    master_key: str
    webhook_key: str = ""
    """Files from before there were webhooks have none; it is added, and so is the next."""
    caller_private_key: str = ""
    """PEM; signs callers."""

    @classmethod
    def made_once(cls, state_dir: Path, token: Callable[[], str]) -> "Credentials":
        """The secrets of this state folder. `token` makes a new unguessable text, as `secrets.token_hex` does."""
        file = state_dir / FILE
        if file.exists():
            found = cls._read(file)
            made = replace(
                found,
                webhook_key=found.webhook_key or token(),
                caller_private_key=found.caller_private_key or new_private_key(),
            )
            if made == found:
                return made
        else:
            made = cls(token(), f"master-key-{TENANT}-{token()}", token(), new_private_key())
        write_private(file, msgspec.json.format(msgspec.json.encode(asdict(made))).decode() + "\n")
        return made

    @classmethod
    def _read(cls, file: Path) -> "Credentials":
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            raise UnusableCredentials(
                f"{file} is damaged ({error}); delete it and new secrets are made: managed keys then stop working"
            ) from None


def new_private_key() -> str:
    """An Ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` writes it."""
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return Ed25519PrivateKey.generate().private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()


def public_key(private_key: str) -> str:
    """The public key that goes with it, in PEM; UnusableCredentials when it is no private key."""
    try:
        key = serialization.load_pem_private_key(private_key.encode(), None).public_key()
    except (ValueError, TypeError) as error:
        raise UnusableCredentials(f"OMNI_CALLER_PRIVATE_KEY is not a private key in PEM: {error}") from None
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, spki).decode()


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read; whole or not at all."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())
    draft.replace(file)
