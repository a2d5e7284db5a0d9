"""Settings: every bad value is refused by the name of its variable, and the reference shows every knob."""

import re

import pytest

from local import reference
from local.package import CHECKOUT
from shared.settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ("RUN_AS_INTERNAL", "yes please"),
        ("OMNI_MAX_BODY_BYTES", "many"),
        ("OMNI_MAX_BODY_BYTES", "0"),
        ("OMNI_MAX_BODY_BYTES", "1.5"),
        ("OMNI_LEASE_S", "-3"),
        ("OMNI_LEASE_S", "nan"),
    ],
)
def test_a_bad_value_is_named(env: str, text: str) -> None:
    with pytest.raises(SettingsError, match=env):
        Settings.load({env: text})


def test_an_empty_value_is_the_default() -> None:
    assert Settings.load({"OMNI_LEASE_S": "", "RUN_AS_INTERNAL": ""}) == Settings()


def test_values_are_read() -> None:
    settings = Settings.load({"RUN_AS_INTERNAL": "1", "OMNI_LEASE_S": "5", "OMNI_STATE_DIR": "/data"})
    assert (settings.run_as_internal, settings.lease_s, str(settings.state_dir)) == (True, 5.0, "/data")


def test_the_reference_is_what_the_code_says() -> None:
    assert reference.REFERENCE.read_text(encoding="utf-8") == reference.write(), "run: python -m local.reference"


READING = re.compile(r"\bos\.(environ|getenv)\b")


def test_nothing_else_reads_the_environment() -> None:
    folders = ("functions", "jobs", "shared", "cli", "deploy", "local")
    files = {file for folder in folders for file in (CHECKOUT / folder).rglob("*.py")} | {CHECKOUT / "main.py"}
    reading = {str(file.relative_to(CHECKOUT)) for file in files if READING.search(file.read_text())}
    assert reading == {"shared/settings/__init__.py"}
