"""Who may run tasks and schedules."""

import pytest

from shared.core.errors import PermissionDenied, Unauthenticated
from shared.core.keys import SYSTEM
from shared.settings import Settings, SettingsError
from shared.web.system_door import SystemDoor
from tests.fakes import FakeVerifier

ACCOUNT = "tasks@p.iam.gserviceaccount.com"


def door(accounts: str = f"other@p, {ACCOUNT}") -> SystemDoor:
    settings = Settings(system_accounts=accounts)
    made = SystemDoor.from_settings(settings, FakeVerifier("good", ACCOUNT), ["https://worker"])
    assert made
    return made


def test_a_known_account_is_the_system() -> None:
    for scheme in ("Bearer", "bearer"):
        assert door().enter({"authorization": f"{scheme} good"}) == SYSTEM


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic good", "Bearer bad", "good"])
def test_401_for_anything_else(value: str) -> None:
    with pytest.raises(Unauthenticated):
        door().enter({"authorization": value})


def test_403_for_another_account() -> None:
    with pytest.raises(PermissionDenied) as refusal:
        door("someone@else").enter({"authorization": "Bearer good"})
    assert ACCOUNT not in refusal.value.message


def test_only_a_local_stack_starts_without_accounts() -> None:
    verifier = FakeVerifier("good", ACCOUNT)
    with pytest.raises(SettingsError, match="OMNI_SYSTEM_ACCOUNTS"):
        SystemDoor.from_settings(Settings(), verifier, [])
    assert SystemDoor.from_settings(Settings(environment="local"), verifier, []) is None
