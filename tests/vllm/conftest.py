"""Tests on real vLLM; `./omni test --vllm` installs it and runs them."""

import os
from collections.abc import Iterator

import pytest

from tests.engine_under_test import ENGINE
from tests.machine import free_port
from tests.stack.running import RunningStack

collect_ignore_glob = [] if os.environ.get("OMNI_TEST_ENGINE") else ["test_*.py"]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("stack"), free_port(), **ENGINE) as running:
        yield running
