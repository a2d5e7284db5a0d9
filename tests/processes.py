"""How the tests are spread over processes, where there are several (`./omni test` without arguments).

The tests of a file stay together, in an order drawn anew in every run: what they share is made once.
"""

from collections import Counter
from pathlib import Path

import pytest
from _pytest.nodeid import NodeId

TESTS = Path(__file__).parent
LONG = ("stack/test_kill.py", "degraded/", "stack/", "worker/", "deploy/test_cost.py")
"""What takes minutes begins first, so that no process works on alone at the end."""


def are_several(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def tell_apart(items: list[pytest.Item]) -> None:
    """Gives each test an id of its own: of two that share one, pytest-xdist would run only one. UsageError if it
    cannot be done."""
    for item in items:
        if not item.nodeid.endswith(item.name):  # schemathesis gives all operations of a test the same
            item._id = NodeId.parse(item.nodeid + item.name[item.name.index("[") :])
    ids = Counter(item.nodeid for item in items)
    if twice := [each for each, count in ids.items() if count > 1]:
        raise pytest.UsageError(f"tests that share an id: {', '.join(twice[:5])}")


def long_ones_first(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(str(item.path.relative_to(TESTS))))


def _turn(file: str) -> int:
    return next((number for number, begin in enumerate(LONG) if file.startswith(begin)), len(LONG))
