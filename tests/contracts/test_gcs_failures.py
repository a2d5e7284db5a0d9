"""What the blobs in Cloud Storage make of a service that fails for a while, or for good."""

import gc
import threading
from collections.abc import Iterator

import pytest

from shared.adapters.gcs_blobs import CHUNK_BYTES, GcsBlobs, Parts
from shared.core.errors import Unavailable
from tests import storage_server
from tests.machine import free_port
from tests.storage_server import BUCKET, StorageServer

# Cloud Storage's client leaves the connections of failed answers to be collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def nothing_is_left_to_collect() -> Iterator[None]:
    """What a later test collects would fail that one."""
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[StorageServer]:
    with storage_server.running() as server:
        yield server


def all_calls_are_unavailable(blobs: GcsBlobs) -> None:
    uri = f"gs://{BUCKET}/a"
    for call in (
        lambda: blobs.put("a", b"text"),
        lambda: blobs.put("a", iter([b"text"])),
        lambda: blobs.get(uri),
        lambda: list(blobs.read(uri)),
        lambda: blobs.delete(uri),
        lambda: blobs.list(""),
    ):
        with pytest.raises(Unavailable):
            call()
    blobs.close()


@pytest.mark.usefixtures("server")
def test_a_service_that_is_not_there_is_unavailable() -> None:
    all_calls_are_unavailable(GcsBlobs("p", BUCKET, f"http://127.0.0.1:{free_port()}", most_time_s=0.5))


def test_a_service_that_keeps_failing_is_unavailable(server: StorageServer) -> None:
    server.failures = 10_000
    all_calls_are_unavailable(GcsBlobs("p", BUCKET, server.url, most_time_s=0.5))


def test_a_bucket_that_is_not_there_is_unavailable_and_never_a_missing_body(server: StorageServer) -> None:
    blobs = GcsBlobs("p", "another", server.url)
    with pytest.raises(Unavailable):
        blobs.put("a", b"text")
    with pytest.raises(Unavailable):
        blobs.list("")
    blobs.close()


def test_nothing_is_asked_for_but_the_bodies(server: StorageServer) -> None:
    blobs = GcsBlobs("p", BUCKET, server.url)
    assert blobs.get(blobs.put("a", b"text")) == b"text"
    blobs.close()
    assert server.requests == 2
    assert [thread.name for thread in threading.enumerate() if "background" in thread.name] == []


@pytest.mark.parametrize("body", [b"whole", b"x" * (2 * CHUNK_BYTES + 5)], ids=["whole", "in parts"])
def test_what_fails_for_a_moment_is_tried_again(server: StorageServer, body: bytes) -> None:
    blobs = GcsBlobs("p", BUCKET, server.url)
    server.failures = 1
    uri = blobs.put("a", body if body == b"whole" else (body[at : at + 700_000] for at in range(0, len(body), 700_000)))
    server.failures = 1
    assert blobs.get(uri) == body
    server.failures = 1
    assert b"".join(blobs.read(uri)) == body
    blobs.close()


def test_a_body_in_parts_is_sent_in_chunks_and_its_last_chunk_can_be_read_again() -> None:
    body = Parts([b"abc", b"", b"de", b"f"])
    assert (body.read(4), body.tell()) == (b"abcd", 4)
    body.seek(1)
    assert (body.read(2), body.read(4), body.read(4), body.read(4)) == (b"bc", b"d", b"ef", b"")
    with pytest.raises(OSError, match="last chunk"):
        body.seek(0)
