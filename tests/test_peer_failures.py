"""docs/70-peer-failures.md: every failure has a test, and every test that is named is there."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
DOCUMENT = CHECKOUT / "docs" / "70-peer-failures.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ISSUE = re.compile(r"#\d+|CVE-\d+-\d+")
KNOWN = 53
"""Issues that are in the table: one that is taken out is missed here."""


def rows() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[1])
def test_it_is_shown_by_tests_that_are_there(row: list[str]) -> None:
    *_, shown_by = row
    named = NAMED.findall(shown_by)
    assert named
    for file, test in named:
        source = (CHECKOUT / file).read_text()
        assert re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{file} has no {test}"


def test_no_issue_was_taken_out() -> None:
    assert len({(row[1], issue) for row in rows() for issue in ISSUE.findall(row[2])}) == KNOWN
