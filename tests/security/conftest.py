from collections.abc import Iterator

import pytest

from tests.security import gateway
from tests.security.gateway import Gateway


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the tests of a file, which leave it as it was."""
    with gateway.running(tmp_path_factory.mktemp("gateway")) as started:
        yield started
