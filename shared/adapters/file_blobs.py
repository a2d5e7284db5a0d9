"""Blobs as files in one folder: the embedded default.

What is older than any document that names it is deleted along with writes, now and then, as a bucket's rule does it.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from shared.ports.blobs import PART_BYTES

SCHEME = "file-blob:"
UNFINISHED = ".part"
KEPT_S = 40 * 24 * 3600.0
"""A day for a job to end, 30 in which it is kept, and some to spare."""
FORGET_EVERY_S = 3600.0


class FileBlobs:
    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        """`now` is the clock by which the machine's file system dates its files."""
        self._folder = folder
        self._now = now
        self._forget_at = now()

    def put(self, path: str, body: bytes | Iterable[bytes]) -> str:
        target = self._inside(path)
        descriptor, part = _begun(target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines([body] if isinstance(body, bytes) else body)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        self._forget_old()
        return SCHEME + path

    def get(self, uri: str) -> bytes:
        return self._at(uri).read_bytes()

    def read(self, uri: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._at(uri).open("rb") as file:
            file.seek(start)
            left = length
            while part := file.read(PART_BYTES if left is None else min(PART_BYTES, left)):
                left = None if left is None else left - len(part)
                yield part

    def delete(self, uri: str) -> None:
        path = self._at(uri)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # a folder that is not empty, or not there
            for parent in path.parents:
                if parent == self._folder.resolve():
                    break
                parent.rmdir()

    def list(self, folder: str) -> list[str]:
        below = self._inside(folder) if folder else self._folder.resolve()
        paths = (path for path in below.rglob("*") if path.is_file() and path.suffix != UNFINISHED)
        return sorted(SCHEME + path.relative_to(self._folder.resolve()).as_posix() for path in paths)

    def _forget_old(self) -> None:
        """Also what a killed process left unfinished."""
        now = self._now()
        if now < self._forget_at:
            return
        self._forget_at = now + FORGET_EVERY_S
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):  # another process forgets as well
                if path.is_file() and path.stat().st_mtime < now - KEPT_S:
                    path.unlink()

    def _at(self, uri: str) -> Path:
        """The file of a URI; FileNotFoundError when it is none of ours."""
        path = uri.removeprefix(SCHEME)
        if path == uri:
            raise FileNotFoundError(uri)
        return self._inside(path)

    def _inside(self, path: str) -> Path:
        """The file for `path`; ValueError unless it stays within the folder."""
        folder = self._folder.resolve()
        found = (folder / path).resolve()
        if folder not in found.parents:
            raise ValueError(f"{path!r} is not a path inside the blobs' folder")
        return found


def _begun(folder: Path) -> tuple[int, Path]:
    """A new file in the folder, which is made, and made again should it be removed for being empty just then."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor, name = mkstemp(dir=folder, prefix=".", suffix=UNFINISHED)
        except FileNotFoundError:
            continue
        return descriptor, Path(name)
