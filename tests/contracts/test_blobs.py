"""What every blob store promises."""

from threading import Thread

import pytest

from shared.ports.blobs import Blobs


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
