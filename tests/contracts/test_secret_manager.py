"""Secret Manager: new versions are used without a restart, and an outage costs nothing that was known."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.adapters.secretmanager_secrets import REFRESH_AT, RETRY_S, SecretManagerSecrets
from shared.core.errors import NotInstalled, Unavailable
from shared.settings import Settings, SettingsError
from shared.wiring import Ports
from tests import secret_manager
from tests.fakes import FakeClock
from tests.secret_manager import DISABLED, FORBIDDEN, OVER_QUOTA, PROJECT, UNAVAILABLE, Refusal, SecretManager
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parent.parent.parent
TTL_S = 300.0


@pytest.fixture
def manager() -> Iterator[SecretManager]:
    with secret_manager.running() as running:
        running.set({"API_KEYS": "first"})
        yield running


@pytest.fixture
def secrets(manager: SecretManager, clock: FakeClock) -> Iterator[SecretManagerSecrets]:
    secrets = SecretManagerSecrets(PROJECT, clock, TTL_S, manager.connect)
    yield secrets
    secrets.close()


def test_the_latest_version_is_used_within_its_time_to_live(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    assert secrets.get("API_KEYS") == "first"
    manager.set({"API_KEYS": "second"})
    clock.advance(TTL_S)
    secrets.get("API_KEYS")
    clock.advance(0.1)
    assert secrets.get("API_KEYS") == "second"


def test_a_version_can_be_named(secrets: SecretManagerSecrets, manager: SecretManager) -> None:
    manager.set({"API_KEYS": "second"})
    assert secrets.get("API_KEYS/versions/1") == "first"
    assert secrets.get("API_KEYS/versions/2") == "second"
    assert secrets.get("API_KEYS/versions/latest") == "second"
    assert secrets.get("API_KEYS/versions/3") is None


def test_while_it_is_in_use_a_secret_is_read_once_a_time_to_live(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    secrets.get("API_KEYS")
    for _ in range(1000):
        assert secrets.get("API_KEYS") == "first"
        assert secrets.get("MISSING") is None
    assert manager.asked == [
        f"projects/{PROJECT}/secrets/API_KEYS/versions/latest",
        f"projects/{PROJECT}/secrets/MISSING/versions/latest",
    ]


def test_a_secret_in_use_is_read_again_while_nobody_waits(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    secrets.get("API_KEYS")
    manager.set({"API_KEYS": "second"})
    clock.advance(TTL_S * REFRESH_AT + 1)
    assert secrets.get("API_KEYS") == "first"
    wait_until(lambda: secrets.get("API_KEYS") == "second", description="the second version")
    assert len(manager.asked) == 2


def test_a_secret_that_nobody_uses_is_not_read(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    secrets.get("API_KEYS")
    clock.advance(3600)
    assert not secrets.is_at_hand("API_KEYS")
    assert len(manager.asked) == 1


def test_a_younger_value_can_be_asked_for(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    secrets.get("API_KEYS")
    manager.set({"API_KEYS": "second"})
    clock.advance(11)
    assert secrets.get("API_KEYS", max_age_s=11) == "first"
    assert secrets.get("API_KEYS", max_age_s=10) == "second"


def test_a_disabled_or_deleted_secret_is_gone_within_its_time_to_live(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    assert secrets.get("API_KEYS") == "first"
    manager.versions["API_KEYS"] = [DISABLED]
    clock.advance(TTL_S + 1)
    assert secrets.get("API_KEYS") is None
    manager.versions.clear()
    clock.advance(TTL_S + 1)
    assert secrets.get("API_KEYS") is None


def test_the_line_end_that_tools_append_is_no_part_of_a_secret(
    secrets: SecretManagerSecrets, manager: SecretManager
) -> None:
    manager.set({"PASSWORD": "one two\r\n"})
    assert secrets.get("PASSWORD") == "one two"


OUTAGES = [UNAVAILABLE, FORBIDDEN, OVER_QUOTA]


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_leaves_the_last_known_value_and_a_warning(
    secrets: SecretManagerSecrets,
    manager: SecretManager,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    outage: Refusal,
) -> None:
    secrets.get("API_KEYS")
    manager.refusal = outage
    clock.advance(TTL_S + 1)
    assert secrets.get("API_KEYS") == "first"
    assert secrets.is_at_hand("API_KEYS")
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert warning.__dict__["fields"]["secret"] == "API_KEYS"
    assert "first" not in str(warning.__dict__)


def test_an_outage_is_over_when_any_secret_can_be_read(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    """Some are read once only, and must not keep the alarm on for ever."""
    manager.set({"ONCE": "x"})
    assert (secrets.get("ONCE"), secrets.get("API_KEYS"), secrets.is_failing) == ("x", "first", False)
    manager.refusal = UNAVAILABLE
    clock.advance(TTL_S + 1)
    assert (secrets.get("ONCE"), secrets.get("API_KEYS"), secrets.is_failing) == ("x", "first", True)
    manager.refusal = None
    clock.advance(RETRY_S)
    assert (secrets.get("API_KEYS"), secrets.is_failing) == ("first", False)


def test_during_an_outage_the_source_is_asked_now_and_then(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    secrets.get("API_KEYS")
    manager.refusal = UNAVAILABLE
    clock.advance(TTL_S + 1)
    manager.asked.clear()
    for _ in range(60):
        assert secrets.get("API_KEYS") == "first"
        clock.advance(1)
    assert len(manager.asked) == 6
    manager.refusal = None
    manager.set({"API_KEYS": "second"})
    clock.advance(RETRY_S)
    assert secrets.get("API_KEYS") == "second"


def test_an_outage_at_the_start_is_unavailable_and_passes(
    secrets: SecretManagerSecrets, manager: SecretManager, clock: FakeClock
) -> None:
    manager.refusal = UNAVAILABLE
    for _ in range(3):
        with pytest.raises(Unavailable) as refusal:
            secrets.get("API_KEYS")
        assert "API_KEYS" in refusal.value.detail
        assert "API_KEYS" not in refusal.value.message
    assert len(manager.asked) == 1
    manager.refusal = None
    clock.advance(RETRY_S)
    assert secrets.get("API_KEYS") == "first"


def test_a_source_that_cannot_be_reached_is_unavailable(clock: FakeClock) -> None:
    with secret_manager.running() as gone:
        pass
    secrets = SecretManagerSecrets(PROJECT, clock, TTL_S, gone.connect)
    with pytest.raises(Unavailable):
        secrets.get("API_KEYS")
    secrets.close()


def test_bytes_that_are_no_text_are_unavailable_and_not_in_the_error(
    secrets: SecretManagerSecrets, manager: SecretManager
) -> None:
    manager.versions["BINARY"] = [b"hidden\xff"]
    with pytest.raises(Unavailable) as refusal:
        secrets.get("BINARY")
    assert "hidden" not in refusal.value.detail


def test_without_its_package_the_error_says_what_to_install(
    secrets: SecretManagerSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.api_core", None)
    with pytest.raises(NotInstalled, match="google-cloud-secret-manager"):
        secrets.get("API_KEYS")


def test_it_is_chosen_by_a_setting_and_needs_a_project() -> None:
    chosen = Settings.load({"OMNI_SECRETS": "secretmanager", "OMNI_PROJECT": PROJECT})
    assert isinstance(Ports(chosen).secrets, SecretManagerSecrets)
    with pytest.raises(SettingsError, match="OMNI_PROJECT"):
        _ = Ports(Settings.load({"OMNI_SECRETS": "secretmanager"})).secrets
    with pytest.raises(SettingsError, match="OMNI_SECRETS must be one of environment, secretmanager"):
        Settings.load({"OMNI_SECRETS": "vault"})


READ_BEFORE_AND_AFTER_FORKS = """
import os, sys
from shared.adapters.secretmanager_secrets import SecretManagerSecrets
from shared.adapters.system_clock import SystemClock
from tests.secret_manager import PROJECT, SecretManager
manager = SecretManager()
manager.port = int(sys.argv[1])
secrets = SecretManagerSecrets(PROJECT, SystemClock(), 300, manager.connect)
children = []
for _ in range(4):
    assert secrets.get("API_KEYS", max_age_s=0) == "first"
    if not (child := os.fork()):
        for _ in range(20):
            assert secrets.get("API_KEYS", max_age_s=0) == "first"
        os._exit(0)
    children.append(child)
for child in children:
    assert secrets.get("API_KEYS", max_age_s=0) == "first"
    assert os.waitpid(child, 0)[1] == 0
"""


def test_secrets_can_be_read_on_both_sides_of_a_fork(manager: SecretManager) -> None:
    """The functions' server forks after it has built the application."""
    command = [sys.executable, "-c", READ_BEFORE_AND_AFTER_FORKS, str(manager.port)]
    assert subprocess.run(command, cwd=CHECKOUT, timeout=60, check=False).returncode == 0
    assert len(manager.asked) == 88


def test_many_threads_that_need_one_secret_ask_once(secrets: SecretManagerSecrets, manager: SecretManager) -> None:
    found: list[str | None] = []
    threads = [threading.Thread(target=lambda: found.append(secrets.get("API_KEYS"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["first"] * 20
    assert len(manager.asked) == 1
