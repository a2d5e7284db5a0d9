from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import free_port
from tests.stack.running import RunningStack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One platform for all tests that do not stop or break it, with the default model."""
    with RunningStack(tmp_path_factory.mktemp("stack"), free_port()) as running:
        yield running
