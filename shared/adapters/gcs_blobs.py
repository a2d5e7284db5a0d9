"""Blobs in a Cloud Storage bucket.

An object appears when its last byte has been stored, and is replaced in the same way. The client takes long to import
and must not cross a fork, so each process makes its own on first use.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import SEEK_SET
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from shared.core.errors import NotInstalled, Unavailable
from shared.ports.blobs import PART_BYTES

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.storage import Blob, Bucket

TIMEOUT_S = (5.0, 30.0)
"""To connect, and of silence."""
MOST_TIME_S = 30.0
"""How long a call that failed for a while is tried again; all of them can be repeated."""
CHUNK_BYTES = 8 * PART_BYTES
"""What one request carries of a body in parts; a multiple of 256 KiB, as Cloud Storage wants it."""
LONGEST_NAME = 1024
"""Bytes."""


class GcsBlobs:
    def __init__(self, project: str, bucket: str, emulator: str = "", most_time_s: float = MOST_TIME_S) -> None:
        """`emulator`: the URL of an emulator to use in place of the service."""
        self._project = project
        self._name = bucket
        self._emulator = emulator
        self._most_time_s = most_time_s
        self._bucket: tuple[int, Bucket] | None = None
        """With the process that connected to it."""
        self._connecting = threading.Lock()

    def put(self, path: str, body: bytes | Iterable[bytes]) -> str:
        blob = self._blob(path)
        with _failures():
            if isinstance(body, bytes):
                blob.upload_from_string(body, timeout=TIMEOUT_S, retry=self._retry())
            else:
                blob.chunk_size = CHUNK_BYTES
                blob.upload_from_file(Parts(body), timeout=TIMEOUT_S, retry=self._retry())
        return f"{self._scheme}{path}"

    def get(self, uri: str) -> bytes:
        blob = self._at(uri)
        with _failures(uri):
            return bytes(blob.download_as_bytes(timeout=TIMEOUT_S, retry=self._retry()))

    def read(self, uri: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        blob = self._at(uri)
        with _failures(uri):
            blob.reload(timeout=TIMEOUT_S, retry=self._retry())  # from here on this generation is meant
        size = int(blob.size or 0)
        end = size if length is None else min(size, start + length)
        for first in range(start, end, CHUNK_BYTES):
            last = min(first + CHUNK_BYTES, end) - 1
            with _failures(uri):
                chunk = blob.download_as_bytes(start=first, end=last, timeout=TIMEOUT_S, retry=self._retry())
            yield from (chunk[at : at + PART_BYTES] for at in range(0, len(chunk), PART_BYTES))

    def delete(self, uri: str) -> None:
        blob = self._at(uri)
        try:
            with _failures(uri):
                blob.delete(timeout=TIMEOUT_S, retry=self._retry())
        except FileNotFoundError:
            return

    def list(self, folder: str) -> list[str]:
        prefix = f"{_checked(folder)}/" if folder else None
        with _failures():
            found = self._connected().list_blobs(prefix=prefix, timeout=TIMEOUT_S, retry=self._retry())
            return sorted(f"{self._scheme}{blob.name}" for blob in found)

    def close(self) -> None:
        """Ends the connections; the next call makes new ones."""
        if self._bucket:
            self._bucket[1].client.close()
            self._bucket = None

    @property
    def _scheme(self) -> str:
        return f"gs://{self._name}/"

    def _at(self, uri: str) -> "Blob":
        """The blob of a URI; FileNotFoundError when it is none of this bucket's."""
        path = uri.removeprefix(self._scheme)
        if path == uri:
            raise FileNotFoundError(uri)
        return self._blob(path)

    def _blob(self, path: str) -> "Blob":
        with _failures():
            return self._connected().blob(_checked(path))

    def _retry(self) -> "Retry":
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry: Retry = DEFAULT_RETRY.with_delay(initial=0.2, maximum=5.0).with_timeout(self._most_time_s)
        return retry

    def _connected(self) -> "Bucket":
        with self._connecting:
            if self._bucket is None or self._bucket[0] != os.getpid():
                self._bucket = os.getpid(), self._connect()
            return self._bucket[1]

    def _connect(self) -> "Bucket":
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        if self._emulator:
            options = {"api_endpoint": self._emulator}
            credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
            client = Client(self._project or "local", credentials, client_options=options)
        else:
            client = Client(self._project or None)
        # Else it asks for the bucket's own description, for traces that are off: an account that may use objects only
        # is refused, and while the service fails a thread goes on asking when the client is closed.
        client._bucket_metadata_cache = None
        return client.bucket(self._name)


class Parts:
    """A body in parts as a file that is read once, but for its last chunk, which may be asked for again."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._ahead = b""
        self._chunk = b""
        self._start = 0
        """Of the chunk, in the body."""
        self._at = 0
        """In the chunk."""

    def tell(self) -> int:
        return self._start + self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        at = offset - self._start
        if whence != SEEK_SET or not 0 <= at <= len(self._chunk):
            raise OSError("only the last chunk can be read again")
        self._at = at
        return offset

    def read(self, size: int) -> bytes:
        if self._at < len(self._chunk):
            again = self._chunk[self._at : self._at + size]
            self._at += len(again)
            return again
        self._start += len(self._chunk)
        self._chunk = self._next(size)
        self._at = len(self._chunk)
        return self._chunk

    def _next(self, size: int) -> bytes:
        gathered = bytearray(self._ahead)
        while len(gathered) < size and (part := next(self._parts, None)) is not None:
            gathered += part
        self._ahead = bytes(gathered[size:])
        return bytes(gathered[:size])


def _checked(path: str) -> str:
    """The path, which must be one that a folder could hold too; else ValueError."""
    parts = PurePosixPath(path).parts
    if path != "/".join(parts) or ".." in parts or len(path.encode()) > LONGEST_NAME or not path.isprintable():
        raise ValueError(f"{path!r} is not a path inside the bucket")
    if not parts:
        raise ValueError("an empty path is not inside the bucket")
    return path


@contextmanager
def _failures(uri: str = "") -> Iterator[None]:
    try:
        import requests
        from google.api_core.exceptions import GoogleAPIError, NotFound
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    except ModuleNotFoundError:
        raise NotInstalled("Cloud Storage needs the package google-cloud-storage (extra `gcp`).") from None
    try:
        yield
    except NotFound as error:
        if uri:
            raise FileNotFoundError(uri) from error
        raise _unavailable(error) from error  # the bucket
    except (GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, requests.RequestException) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable("Large bodies cannot be stored or read at the moment.", detail=repr(error), retry_after_s=1.0)
