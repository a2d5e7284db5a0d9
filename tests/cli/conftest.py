from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.__main__ import omni as group
from tests.cli.platform import MASTER, Platform

Omni = Callable[..., Result]


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str | None]:
    """An environment that knows no platform."""
    return {"OMNI_BASE_URL": None, "OMNI_API_KEY": None, "OMNI_STATE_DIR": str(tmp_path), "OMNI_CALLED_FROM": None}


@pytest.fixture
def omni(platform: Platform, offline: dict[str, str | None]) -> Omni:
    """Runs a command against the test's platform, away from any terminal."""

    def run(*arguments: str, stdin: str = "", **environment: str | None) -> Result:
        known = offline | {"OMNI_BASE_URL": platform.base_url, "OMNI_API_KEY": MASTER}
        return CliRunner().invoke(group, arguments, input=stdin, env=known | environment, prog_name="omni")

    return run
