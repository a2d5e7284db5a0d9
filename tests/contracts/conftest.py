"""Every adapter of a port, under the name its tests are listed by. A new adapter is one more row here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.adapters.file_blobs import FileBlobs
from shared.adapters.gcs_blobs import GcsBlobs
from shared.adapters.secretmanager_secrets import SecretManagerSecrets
from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.sqlite_store import SqliteStore
from shared.ports.blobs import Blobs
from shared.ports.queue import LocalQueue
from shared.ports.secrets import Secrets
from shared.ports.store import Store
from tests import secret_manager, storage_server
from tests.fakes import FakeClock

STORES = ("sqlite", "firestore")
LOCAL_QUEUES: dict[str, Callable[[Path, FakeClock], LocalQueue]] = {
    "sqlite": lambda folder, clock: SqliteQueue(folder / "queue.db", clock),
}
BLOBS = ("files", "gcs")


@contextmanager
def google_secrets(values: Mapping[str, str], clock: FakeClock) -> Iterator[Secrets]:
    with secret_manager.running() as manager:
        manager.set(values)
        secrets = SecretManagerSecrets(secret_manager.PROJECT, clock, 300, manager.connect)
        yield secrets
        secrets.close()


SECRETS: dict[str, Callable[[Mapping[str, str], FakeClock], AbstractContextManager[Secrets]]] = {
    "environment": lambda values, _: nullcontext(EnvironmentSecrets(values)),
    "secretmanager": google_secrets,
}
SECRET_VALUES = {"API_KEYS": "prod-key-acme-1,free-key-ann-1", "UNICODE": "naïve 名", "EMPTY": ""}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    if request.param == "sqlite":
        yield SqliteStore(tmp_path / "omni.db", clock)
        return
    store = request.getfixturevalue("firestore").store()
    yield store
    store.close()


@pytest.fixture(params=LOCAL_QUEUES)
def queue(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> LocalQueue:
    return LOCAL_QUEUES[request.param](tmp_path, clock)


@pytest.fixture(params=BLOBS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    if request.param == "files":
        yield FileBlobs(tmp_path / "blobs")
        return
    with storage_server.running() as server:
        blobs = GcsBlobs("", storage_server.BUCKET, server.url)
        yield blobs
        blobs.close()


@pytest.fixture(params=SECRETS)
def secrets(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Secrets]:
    with SECRETS[request.param](SECRET_VALUES, clock) as found:
        yield found
