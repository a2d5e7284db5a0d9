"""A tenant's files, uploads and batch outputs take no more bytes than they may, to the byte, whatever happens."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from local.package import CHECKOUT
from shared.adapters.file_blobs import FileBlobs
from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.core.errors import InvalidRequest, PayloadTooLarge
from shared.files.files import BATCH_OUTPUT, FILES, UNFINISHED_S, Files, FileTerms, StoredFile
from shared.files.uploads import UPLOADS, Upload, Uploads
from shared.ports.clock import Clock
from shared.ports.store import Query
from tests.fakes import FakeClock

T = TypeVar("T")
TERMS = FileTerms("acme", "k", "batch", "in.jsonl")
MOST = 1000


class Shelf:
    """Files and uploads of one folder, as one process sees them."""

    def __init__(self, folder: Path, clock: Clock | None = None, most: int = MOST) -> None:
        clock = clock or FakeClock()
        store, self.blobs = SqliteStore(folder / "omni.db", clock), FileBlobs(folder / "blobs")
        self._store = store
        self.files = Files(store, self.blobs, clock, most)
        self.uploads = Uploads(store, self.blobs, self.files, clock)

    @property
    def used(self) -> int:
        return self.files.storage.used("acme")

    def stored(self, collection: str, kind: type[T]) -> list[T]:
        """What is to be purged by now."""
        page = self._store.query(Query(collection, (("purge_at", "<=", 1e12),), "purge_at"))
        return [kind(**document) for document in page.documents]

    def keep(self, size: int, terms: FileTerms = TERMS) -> str:
        return self.files.create(terms, [b"x" * size], size).id


class Unread:
    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("nothing is to be read")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_files_are_counted_until_they_are_deleted(shelf: Shelf) -> None:
    first = shelf.keep(600)
    shelf.keep(400)
    assert shelf.used == MOST
    shelf.files.delete("acme", first)
    assert shelf.used == 400
    shelf.keep(600)


def test_a_file_without_room_is_refused_before_a_byte_of_it_is_kept(shelf: Shelf) -> None:
    shelf.keep(600)

    with pytest.raises(PayloadTooLarge) as refused:
        shelf.files.create(TERMS, Unread(), 401)
    assert (refused.value.status, refused.value.code) == (413, "storage_quota_exceeded")
    for part in ("600 bytes of their 1000 bytes", "this takes 401 bytes", "omni files delete"):
        assert part in refused.value.message
    assert (shelf.used, len(shelf.blobs.list(""))) == (600, 1)


def test_each_tenant_has_its_own(shelf: Shelf) -> None:
    shelf.keep(MOST)
    shelf.keep(MOST, FileTerms("globex", "k", "batch", "in.jsonl"))


def test_an_upload_takes_its_bytes_from_the_start_until_it_is_over(shelf: Shelf) -> None:
    upload = shelf.uploads.create(TERMS, 700)
    assert shelf.used == 700
    with pytest.raises(PayloadTooLarge):
        shelf.uploads.create(TERMS, 301)
    shelf.uploads.cancel("acme", upload.id)
    assert shelf.used == 0


def test_a_completed_upload_is_counted_once(shelf: Shelf) -> None:
    upload = shelf.uploads.create(TERMS, MOST)
    part = shelf.uploads.add_part("acme", upload.id, [b"x" * MOST])
    with pytest.raises(InvalidRequest):
        shelf.uploads.complete("acme", upload.id, [part], "0" * 32)
    _, file = shelf.uploads.complete("acme", upload.id, [part], None)
    assert shelf.used == MOST
    shelf.files.delete("acme", file.id)
    assert shelf.used == 0


def test_parts_sent_again_are_counted_beyond_what_was_announced(shelf: Shelf) -> None:
    upload = shelf.uploads.create(TERMS, 600)
    for _ in range(2):
        shelf.uploads.add_part("acme", upload.id, [b"x" * 400])
    assert shelf.used == 800
    with pytest.raises(PayloadTooLarge):
        shelf.uploads.add_part("acme", upload.id, [b"x" * 400])
    assert (shelf.used, len(shelf.blobs.list(""))) == (800, 2)


def test_a_batchs_output_is_kept_and_counted_beyond_the_quota(shelf: Shelf) -> None:
    shelf.keep(900)
    terms = FileTerms("acme", "k", BATCH_OUTPUT, "out.jsonl")
    for version, size in (("1", 500), ("2", 700)):  # prepared again, it is counted once
        shelf.files.prepare("file-out", version, terms, [b"x" * size])
        assert shelf.used == 900 + size
    with pytest.raises(PayloadTooLarge):
        shelf.files.storage.require_room("acme")


def test_what_a_killed_process_had_begun_is_counted_until_it_is_purged(tmp_path: Path) -> None:
    clock = FakeClock()
    shelf = Shelf(tmp_path, clock)

    def killed() -> Iterator[bytes]:
        yield b"x" * 100
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shelf.files.create(TERMS, killed(), 800)
    shelf.uploads.create(TERMS, 200)
    assert shelf.used == MOST
    clock.advance(UNFINISHED_S + 1)
    for file in shelf.stored(FILES, StoredFile):
        shelf.files.purge(file)
        shelf.files.purge(file)  # twice is once
    for upload in shelf.stored(UPLOADS, Upload):
        shelf.uploads.purge(upload)
    assert shelf.used == 0


def upload_many(folder: Path) -> None:
    """What one of several processes does: five files of 90 bytes, of which all processes together have room for 11."""
    shelf = Shelf(folder, SystemClock())
    kept = 0
    for _ in range(5):
        try:
            shelf.keep(90)
            kept += 1
        except PayloadTooLarge:
            continue
    sys.stdout.write(f"{kept}\n")


def test_twenty_uploads_from_four_processes_take_no_byte_too_many(tmp_path: Path) -> None:
    Shelf(tmp_path, SystemClock()).keep(0)
    code = f"from pathlib import Path; from {__name__} import upload_many; upload_many(Path({str(tmp_path)!r}))"
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    kept = sum(int(process.communicate(timeout=60)[0]) for process in running)
    shelf = Shelf(tmp_path, SystemClock())
    assert (kept, shelf.used) == (11, 990)
    assert sum(file.bytes for file in shelf.files.list("acme", "", 100, "", newest_first=True).items) == 990
