"""How the tests are spread over processes, where there are several (`./omni test` without arguments).

The tests of a file stay together, in an order drawn anew in every run: what they share is made once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SHARED = ("stack", "terraform", "worker")
"""Fixtures that take long to make and serve several files, which then stay together, too."""
LONG = ("stack/test_kill.py", "degraded/test_table.py", "stack", "worker", "deploy/test_cost.py", "stack/")
"""What takes minutes begins first, so that no process works on alone at the end."""


def is_one_of_several(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def group(items: Sequence[pytest.Item]) -> None:
    """Tells pytest-xdist what stays together."""
    groups = _groups(items)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path]))


def long_ones_first(items: list[pytest.Item]) -> None:
    groups = _groups(items)
    items.sort(key=lambda item: _turn(groups[item.path]))


def _turn(group: str) -> int:
    return next((number for number, begin in enumerate(LONG) if _is(group, begin)), len(LONG))


def _is(group: str, wanted: str) -> bool:
    return group.startswith(wanted) if wanted.endswith("/") else group == wanted


def _groups(items: Sequence[pytest.Item]) -> Mapping[Path, str]:
    """By file: the fixture that it shares with others, else itself."""
    groups = {item.path: str(item.path.relative_to(TESTS)) for item in items}
    for item in items:
        shared = [name for name in SHARED if name in getattr(item, "fixturenames", ())]
        if shared:
            groups[item.path] = shared[0]
    return groups
