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


@pytest.mark.parametrize("file", sorted(path.name for path in (CHECKOUT / "requirements").glob("*.txt")))
def test_every_package_is_pinned_to_its_contents(file: str) -> None:
    """A release that was replaced, or made with a stolen account, is not installed: it has another hash."""
    for locked in (f"requirements/{file}", "requirements.txt"):
        text = (CHECKOUT / locked).read_text()
        starts = [found.start() for found in re.finditer(r"^[\w.\[\]-]+==", text, re.MULTILINE)]
        assert starts
        blocks = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
        assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_readme_names_the_number_of_packages_that_the_first_start_installs() -> None:
    (named,) = re.findall(r"Installing Omni's (\d+) packages", (CHECKOUT / "README.md").read_text())
    assert int(named) == len(pins("requirements/local.txt"))
