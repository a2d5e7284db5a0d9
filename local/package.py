"""`./omni package`: the archive that every Cloud Function is made of.

The same files give the same bytes: entries are sorted, stored without compression and carry no time, so an unchanged
archive is not deployed again.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = ("functions", "shared")
FILES = ("main.py", "requirements.txt")
CATALOGUE = "models.toml"
LEFT_OUT = frozenset({"__pycache__"})
BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can tell."""
PERMISSIONS = 0o644 << 16


def write(archive: Path, models: Path) -> str:
    """Writes the archive with `models` as its catalogue; the SHA-256 of what was written."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for name, file in sorted({CATALOGUE: models, **dict(_sources())}.items()):
            entry = zipfile.ZipInfo(name, BEGINNING)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = PERMISSIONS
            packed.writestr(entry, file.read_bytes())
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def _sources() -> Iterator[tuple[str, Path]]:
    for name in FILES:
        yield name, CHECKOUT / name
    for folder in FOLDERS:
        for file in (CHECKOUT / folder).rglob("*"):
            inside = file.relative_to(CHECKOUT)
            if file.is_file() and not LEFT_OUT.intersection(inside.parts):
                yield inside.as_posix(), file
