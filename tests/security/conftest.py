from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import World
from tests.security import gateway
from tests.security.gateway import Gateway


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the tests of a file, which leave it as it was."""
    with gateway.running(tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
