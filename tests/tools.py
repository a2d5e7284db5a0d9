"""Programs that tests use, in environments of their own."""

from pathlib import Path

import pytest

from local import tools


def environment_with(requirements: Path) -> Path:
    """As in local.tools; a skip where the packages cannot be had."""
    try:
        return tools.environment_with(requirements)
    except tools.NotInstalled as error:
        pytest.skip(f"the packages of a test's tool cannot be installed: {error}")
