import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def pins(file: str) -> set[str]:
    return set(re.findall(r"^[\w.\[\]-]+==[^ \\\n]+", (CHECKOUT / file).read_text(), re.MULTILINE))


@pytest.mark.parametrize("file", ["requirements.txt", "requirements/local.txt", "requirements/cloud.txt"])
def test_the_development_environment_holds_what_runs_in_production(file: str) -> None:
    """A venv made for `./omni test` also serves `./omni up`."""
    assert pins(file) <= pins("requirements/dev.txt")
