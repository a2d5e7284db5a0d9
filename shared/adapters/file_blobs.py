"""Blobs as files in one folder: the embedded default."""

import os
from pathlib import Path
from tempfile import mkstemp

SCHEME = "file-blob:"


class FileBlobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, path: str, body: bytes) -> str:
        target = self._inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = mkstemp(dir=target.parent, prefix=".", suffix=".part")
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return SCHEME + path

    def get(self, uri: str) -> bytes:
        path = uri.removeprefix(SCHEME)
        if path == uri:
            raise FileNotFoundError(uri)
        return self._inside(path).read_bytes()

    def _inside(self, path: str) -> Path:
        """The file for `path`; ValueError unless it stays within the folder."""
        folder = self._folder.resolve()
        found = (folder / path).resolve()
        if folder not in found.parents:
            raise ValueError(f"{path!r} is not a path inside the blobs' folder")
        return found
