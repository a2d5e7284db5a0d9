"""What every blob store promises."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from shared.adapters.file_blobs import FORGET_EVERY_S, KEPT_S, FileBlobs
from shared.ports.blobs import PART_BYTES, Blobs

# Cloud Storage's client leaves the connections of failed answers to be collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("body", [b"", b"text", bytes(range(256)) * 4096], ids=["empty", "small", "1 MiB"])
def test_a_body_comes_back_as_it_was_put(blobs: Blobs, body: bytes) -> None:
    assert blobs.get(blobs.put("jobs/a/input.json", body)) == body


def test_a_body_replaces_the_one_before(blobs: Blobs) -> None:
    first = blobs.put("jobs/a/result.json", b"one")
    second = blobs.put("jobs/a/result.json", b"two")
    assert first == second
    assert blobs.get(first) == b"two"


def test_paths_are_apart(blobs: Blobs) -> None:
    uris = [blobs.put(path, path.encode()) for path in ("a", "b/a", "b/c/a")]
    assert [blobs.get(uri) for uri in uris] == [b"a", b"b/a", b"b/c/a"]


def test_what_was_never_put_is_not_found(blobs: Blobs) -> None:
    uri = blobs.put("a", b"")
    for missing in (uri + "x", "", "nothing", "https://example.org/a"):
        with pytest.raises(FileNotFoundError):
            blobs.get(missing)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../outside", ".", ""])
def test_a_path_that_leads_outside_is_refused(blobs: Blobs, path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        blobs.put(path, b"")
    inside = blobs.put("a", b"")
    with pytest.raises((ValueError, FileNotFoundError)):
        blobs.get(inside.removesuffix("a") + path)


def test_a_reader_never_sees_half_a_body(blobs: Blobs) -> None:
    bodies = {bytes([letter]) * 1_000_000 for letter in b"ab"}
    uri = blobs.put("a", min(bodies))
    writer = Thread(target=lambda: [blobs.put("a", body) for _ in range(20) for body in bodies])
    writer.start()
    while writer.is_alive():
        assert blobs.get(uri) in bodies
    writer.join()


def test_a_body_in_parts_is_put_together(blobs: Blobs) -> None:
    assert blobs.get(blobs.put("a", (bytes([letter]) * 700_000 for letter in b"abc"))) == (
        b"a" * 700_000 + b"b" * 700_000 + b"c" * 700_000
    )
    assert blobs.get(blobs.put("none", iter(()))) == b""


def test_a_body_that_breaks_off_is_not_stored(blobs: Blobs) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError

    blobs.put("a", b"before")
    for path in ("a", "b"):
        with pytest.raises(ConnectionResetError):
            blobs.put(path, broken())
    assert [blobs.get(uri) for uri in blobs.list("")] == [b"before"]


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, None), (0, 10), (7, None), (7, 3), (0, 0), (PART_BYTES - 1, 2), (3 * PART_BYTES, None), (9 * PART_BYTES, 5)],
)
def test_any_range_of_a_body_can_be_read(blobs: Blobs, start: int, length: int | None) -> None:
    body = bytes(range(251)) * 13_000
    parts = list(blobs.read(blobs.put("a", body), start, length))
    assert b"".join(parts) == body[start : None if length is None else start + length]
    assert all(0 < len(part) <= PART_BYTES for part in parts)


def test_reading_what_is_not_there_is_refused(blobs: Blobs) -> None:
    uri = blobs.put("a", b"")
    with pytest.raises(FileNotFoundError):
        list(blobs.read(uri + "x"))


def test_a_deleted_body_is_gone_and_may_be_deleted_again(blobs: Blobs) -> None:
    uri = blobs.put("a/b", b"text")
    for _ in range(2):
        blobs.delete(uri)
    with pytest.raises(FileNotFoundError):
        blobs.get(uri)
    assert blobs.list("a") == []


def test_a_folder_lists_what_is_below_it_by_path(blobs: Blobs) -> None:
    uris = {path: blobs.put(path, b"") for path in ("b/2", "b/10", "b/c/1", "bb/1", "a")}
    assert blobs.list("b") == [uris[path] for path in ("b/10", "b/2", "b/c/1")]
    assert len(blobs.list("")) == 5
    assert blobs.list("nothing") == []


def test_files_that_no_job_can_still_name_are_forgotten(tmp_path: Path) -> None:
    now = time.time()
    blobs = FileBlobs(tmp_path, lambda: now)
    old, young = blobs.put("jobs/a/input.json", b"old"), blobs.put("jobs/b/input.json", b"young")
    os.utime(tmp_path / "jobs" / "a" / "input.json", (now - KEPT_S - 1, now - KEPT_S - 1))
    blobs.put("jobs/c/input.json", b"too soon to look again")
    assert blobs.get(old) == b"old"
    now += FORGET_EVERY_S
    blobs.put("jobs/d/input.json", b"time to look")
    assert blobs.get(young) == b"young"
    with pytest.raises(FileNotFoundError):
        blobs.get(old)
