"""For every test: a clean environment, and no quiet skipping where nobody reads the output."""

import os
from collections.abc import Generator, Iterator
from dataclasses import fields

import pytest

from shared.settings import Settings
from tests import firestore_emulator, processes
from tests.firestore_emulator import FirestoreEmulator

IN_CI = os.environ.get("CI") == "true"
SETTINGS = frozenset(field.metadata["env"] for field in fields(Settings))
SECRETS = frozenset(
    {
        "API_KEYS",
        "OMNI_CALLER_PRIVATE_KEY",
        "OMNI_CALLER_PUBLIC_KEYS",
        "OMNI_KEY_PEPPER",
        "OMNI_WEBHOOK_KEY",
        "OMNI_REDIS_PASSWORD",
        "OMNI_API_KEY",
        "OMNI_BASE_URL",
    }
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outage-s", default="1", help="how long each outage in tests/degraded lasts, in seconds")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """The order comes after pytest-randomly has drawn one."""
    processes.tell_apart(items)
    yield
    if processes.are_several(config):
        processes.long_ones_first(items)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings and secrets of the person who runs it."""
    for name in SETTINGS | SECRETS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirestoreEmulator]:
    """One for all tests: it takes seconds to start."""
    with firestore_emulator.running(tmp_path_factory.mktemp("firestore")) as emulator:
        yield emulator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip tells a person which service is missing; with CI=true it is a failure."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipped, which CI=true does not allow: {call.excinfo.value if call.excinfo else ''}"
    return report
