"""Secrets from Google Secret Manager, kept in memory and read again while they are in use.

A name may carry a version, as in `OMNI_KEY_PEPPER/versions/3`; without one it means the latest. The client takes long
to import, so that is left to the first read. It speaks HTTP: the functions' server forks after the first secrets were
read, and gRPC's threads do not survive that (one child in fifteen hung when it was tried).
"""

import logging
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.errors import NotInstalled, Unavailable
from shared.ports.clock import Clock

if TYPE_CHECKING:
    from google.api_core.exceptions import BadRequest
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

    Connect = Callable[[], SecretManagerServiceClient]

NAME = re.compile(r"([A-Za-z0-9_-]{1,255})(?:/versions/([0-9]+|latest))?")
TIMEOUT_S = 5.0
RETRY_S = 10.0
"""How long a source that did not answer is left alone."""
REFRESH_AT = 0.8
"""The part of its time to live after which a value in use is read again, for which nobody waits."""

log = logging.getLogger("omni.secrets")


@dataclass(frozen=True, slots=True)
class Kept:
    value: str | None
    read_at: float
    """Monotonic."""


class SecretManagerSecrets:
    def __init__(
        self,
        project: str,
        clock: Clock,
        ttl_s: float,
        connect: "Connect | None" = None,
    ) -> None:
        self._project = project
        self._now = clock.monotonic
        self._ttl_s = ttl_s
        self._connect = connect or _connect
        self._client: tuple[int, SecretManagerServiceClient] | None = None
        """With the process that connected it."""
        self._kept: dict[str, Kept] = {}
        self._retry_at: dict[str, float] = {}
        self.is_failing = False
        self._refreshing: set[str] = set()
        self._reading = threading.Lock()

    def get(self, name: str, max_age_s: float | None = None) -> str | None:
        oldest_s = self._ttl_s if max_age_s is None else min(max_age_s, self._ttl_s)
        kept = self._kept.get(name)
        if kept and self._age_s(kept) > oldest_s and self._is_left_alone(name):
            return kept.value  # while the source is down nobody waits for it
        if kept is None or self._age_s(kept) > oldest_s:
            return self._read(name, oldest_s)
        if self._age_s(kept) > self._ttl_s * REFRESH_AT:
            self._refresh_ahead(name)
        return kept.value

    def is_at_hand(self, name: str) -> bool:
        kept = self._kept.get(name)
        return kept is not None and (self._age_s(kept) <= self._ttl_s or self._is_left_alone(name))

    def close(self) -> None:
        """Ends the connection; the next read makes a new one."""
        with self._reading:
            if self._client:
                self._client[1].transport.close()  # type: ignore[no-untyped-call]
                self._client = None

    def _age_s(self, kept: Kept) -> float:
        return self._now() - kept.read_at

    def _is_left_alone(self, name: str) -> bool:
        return self._now() < self._retry_at.get(name, 0.0)

    def _refresh_ahead(self, name: str) -> None:
        if name not in self._refreshing and not self._is_left_alone(name):
            self._refreshing.add(name)
            threading.Thread(target=self._refresh, args=(name,), name="secrets", daemon=True).start()

    def _refresh(self, name: str) -> None:
        try:
            self._read(name, self._ttl_s * REFRESH_AT)
        finally:
            self._refreshing.discard(name)

    def _read(self, name: str, oldest_s: float) -> str | None:
        """The value, from the source unless another thread has just read it; the last known when that is down."""
        with self._reading:
            kept = self._kept.get(name)
            if kept and (self._age_s(kept) <= oldest_s or self._is_left_alone(name)):
                return kept.value
            if self._is_left_alone(name):
                raise _unreadable(name, "it could not be read a moment ago")
            try:
                kept = self._kept[name] = Kept(self._ask(name), self._now())
                self.is_failing = False
            except Unavailable as error:
                self.is_failing = True
                self._retry_at[name] = self._now() + RETRY_S
                if kept is None:
                    raise
                fields = {"secret": name, "age_s": round(self._age_s(kept)), "detail": error.detail}
                log.warning("a secret cannot be read; its last known value is used", extra={"fields": fields})
            return kept.value

    def _ask(self, name: str) -> str | None:
        try:
            from google.api_core import exceptions
            from google.auth.exceptions import GoogleAuthError
        except ModuleNotFoundError:
            raise NotInstalled("Secret Manager needs the package google-cloud-secret-manager (extra `gcp`).") from None
        if not (parts := NAME.fullmatch(name)):
            return None
        path = f"projects/{self._project}/secrets/{parts[1]}/versions/{parts[2] or 'latest'}"
        try:
            answer = self._connected().access_secret_version(name=path, timeout=TIMEOUT_S, retry=None)
            return answer.payload.data.decode().strip() or None
        except exceptions.NotFound:
            return None
        except exceptions.BadRequest as error:
            if _is_disabled(error):
                return None
            raise _unreadable(name, str(error)) from error
        except (exceptions.GoogleAPIError, GoogleAuthError, OSError, UnicodeDecodeError) as error:
            raise _unreadable(name, str(error)) from error

    def _connected(self) -> "SecretManagerServiceClient":
        if self._client is None or self._client[0] != os.getpid():
            self._client = os.getpid(), self._connect()
        return self._client[1]


def _connect() -> "SecretManagerServiceClient":
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

    return SecretManagerServiceClient(transport="rest")


def _is_disabled(error: "BadRequest") -> bool:
    """Whether there is such a version, but it is disabled or destroyed."""
    return error.response is not None and "FAILED_PRECONDITION" in error.response.text


def _unreadable(name: str, reason: str) -> Unavailable:
    detail = f"secret {name}: {reason}"
    return Unavailable("Secrets cannot be read at the moment.", detail=detail, retry_after_s=RETRY_S)
