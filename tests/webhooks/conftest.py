from pathlib import Path

import pytest

from tests.webhooks.post import Post


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)
