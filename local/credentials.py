"""The local stack's secrets: made once, kept in the state folder, readable by their owner alone."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

TENANT = "local"
FILE = "secrets.json"


class UnusableCredentials(Exception):
    """The file that keeps the secrets is damaged."""


@dataclass(frozen=True, slots=True)
class Credentials:
    signing_key: str
    key_pepper: str
    master_key: str
    webhook_key: str = ""
    """Files from before there were webhooks have none; it is added."""

    @classmethod
    def made_once(cls, state_dir: Path, token: Callable[[], str]) -> "Credentials":
        """The secrets of this state folder. `token` makes a new unguessable text, as `secrets.token_hex` does."""
        file = state_dir / FILE
        if file.exists():
            made = cls._read(file)
            if made.webhook_key:
                return made
            made = replace(made, webhook_key=token())
        else:
            made = cls(token(), token(), f"master-key-{TENANT}-{token()}", token())
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


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read; whole or not at all."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())
    draft.replace(file)
