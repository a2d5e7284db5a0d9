"""The walk-through and the runbook name what there is."""

import re
from pathlib import Path

import click
import pytest

from cli.__main__ import omni

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PAGES = ("docs/04-deploy.md", "docs/05-operate.md")
EVERY_PAGE = sorted(path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "docs").glob("*.md"))
ROOT_PAGES = ("README.md", "CONTRIBUTING.md")
COMMAND = re.compile(r"\./omni ((?:[a-z]+ ?)+)((?:[^`\n\\]|\\\n)*)")


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", (CHECKOUT / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alert_has_a_page_that_it_links_to() -> None:
    text = (CHECKOUT / "terraform" / "alerts.tf").read_text()
    alerts = re.findall(r"^    ([a-z-]+) = \{$", text, re.MULTILINE)
    assert len(alerts) >= 8
    assert set(alerts) <= anchors("docs/05-operate.md")
    linking = "docs/05-operate.md#${each.key}"
    assert linking in text
    assert "budget" in anchors("docs/05-operate.md")
    assert "docs/05-operate.md#budget" in (CHECKOUT / "terraform" / "budget.tf").read_text()


def test_an_alert_on_log_lines_counts_lines_that_the_code_writes() -> None:
    messages = re.findall(r'jsonPayload\.message=\\"([^\\]+)\\"', (CHECKOUT / "terraform" / "alerts.tf").read_text())
    code = [file.read_text() for file in (CHECKOUT / "shared").rglob("*.py")]
    assert messages
    assert all(any(f'"{message}"' in text for text in code) for message in messages)


@pytest.mark.parametrize("page", [*EVERY_PAGE, *ROOT_PAGES])
def test_every_command_and_option_exists(page: str) -> None:
    for words, options in COMMAND.findall((CHECKOUT / page).read_text()):
        found: click.Command | None = omni
        for word in words.split():
            if isinstance(found, click.Group):
                found = found.get_command(click.Context(found), word)
                assert found, f"./omni {words}"
        if found and found.context_settings.get("ignore_unknown_options"):
            continue  # `test` and `bench` pass their options on
        known = {name for each in (found.params if found else []) for name in each.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= known, f"./omni {words}{options}"


@pytest.mark.parametrize("page", [*EVERY_PAGE, *ROOT_PAGES])
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (CHECKOUT / page).read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (CHECKOUT / page).parent / file if file else CHECKOUT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.resolve().relative_to(CHECKOUT).as_posix()), target


def test_the_map_in_the_readme_lists_every_page() -> None:
    text = (CHECKOUT / "README.md").read_text()
    assert [page for page in EVERY_PAGE if f"]({page})" not in text] == []


def test_every_variable_they_name_is_one() -> None:
    text = "".join(file.read_text() for file in (CHECKOUT / "terraform").glob("variables*.tf"))
    named = set(
        re.findall(r"`((?:worker|gateway|redis)\.[a-z_]+)", "".join((CHECKOUT / page).read_text() for page in PAGES))
    )
    assert {each for each in named if not re.search(rf"^    {each.split('.')[1]} ", text, re.MULTILINE)} == set()


def test_every_verb_of_operating_is_told() -> None:
    told = "".join((CHECKOUT / page).read_text() for page in PAGES)
    assert [verb for verb in ("deploy", "destroy", "cost", "smoke") if f"./omni {verb}" not in told] == []
