"""Which platform a command speaks to, and with which key.

Options come first, then the environment, then the `dev.env` that a running `omni up` has left in its state folder.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from cli.client import Client
from cli.errors import START, CliError, NoPlatform
from cli.places import dev_env

VISIBLE = re.compile(r"[!-~]+")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Connection:
    base_url: str
    """Scheme, host and port, without a trailing slash."""
    api_key: str


def find(base_url: str, api_key: str, local_file: Path) -> Connection:
    """The connection that was asked for, completed from the file of a local stack. CliError says what is missing.

    The local stack's key is a master key: it is completed only for the local stack's own address.
    """
    local = _read(local_file)
    local_url = _plain(local.get("OMNI_BASE_URL", ""))
    url = _plain(base_url) or local_url
    if not url:
        raise NoPlatform(f"No platform is running from this folder. {START}, or give --base-url and --api-key.")
    key = api_key or (local.get("OMNI_API_KEY", "") if url == local_url else "")
    if not key:
        raise CliError(f"No key for {url} is known. Give --api-key or set OMNI_API_KEY.")
    if not VISIBLE.fullmatch(key):
        raise CliError("The key holds characters that no key has: those of visible ASCII are allowed.")
    return Connection(url, key)


def connected(command: Callable[..., R]) -> Callable[..., R]:
    """Gives a command the options that say where the platform is, and a Client for it as first argument."""

    @click.option(
        "--base-url", envvar="OMNI_BASE_URL", default="", metavar="URL", show_envvar=True,
        help="Address of the platform. Default: the stack that 'omni up' started here.",
    )  # fmt: skip
    @click.option("--api-key", envvar="OMNI_API_KEY", default="", metavar="KEY", show_envvar=True, help="Key to use.")
    @wraps(command)
    def with_client(*, base_url: str, api_key: str, **options: Any) -> R:
        connection = find(base_url, api_key, dev_env())
        with Client(connection.base_url, connection.api_key) as client:
            return command(client, **options)

    return with_client


def _plain(url: str) -> str:
    """The address without the `/v1` that OpenAI's clients want at its end."""
    url = url.rstrip("/").removesuffix("/v1")
    if url and not url.startswith(("http://", "https://")):
        raise CliError(f"The address '{url}' must begin with http:// or https://.")
    if url and not _is_address(url):
        raise CliError(f"The address '{url}' is not one.")
    return url


def _is_address(url: str) -> bool:
    """Whether a host, and a port if any, can be read out of it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        return bool(host) and parts.port != 0 and VISIBLE.fullmatch(url) is not None
    except ValueError:
        return False


def _read(file: Path) -> dict[str, str]:
    """The NAME=value lines of a file; none when there is no such file."""
    if not file.is_file():
        return {}
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}.") from None
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name.removeprefix("export ").strip(): value.strip().strip("'\"") for name, _, value in pairs if name}
