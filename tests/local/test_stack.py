from pathlib import Path

import pytest

from local.addresses import Addresses
from local.credentials import Credentials
from local.model_choice import ModelChoice
from local.process import Program
from local.stack import Stack
from local.state_choice import StateChoice
from tests.caller_keys import OTHER_PRIVATE_KEY, OTHER_PUBLIC_KEY, PRIVATE_KEY, PUBLIC_KEY

MODEL = ModelChoice("small", "", Path("/models.toml"))


SQLITE = StateChoice("sqlite", {"OMNI_STATE": "sqlite"})

FIRESTORE = StateChoice(
    "Firestore",
    {"OMNI_STATE": "firestore", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:20003"},
    ("java",),
    "http://127.0.0.1:20003/",
)


def programs(state: StateChoice = SQLITE, **inherited: str) -> dict[str, Program]:
    credentials = Credentials("pepper", "master-key-local-1", "webhooks", PRIVATE_KEY)
    stack = Stack(inherited, state, Path("/state"), Addresses(8080, 20001, 20002), credentials, MODEL)
    return {program.name: program for program in stack.programs()}


def test_the_processes_come_in_the_order_in_which_they_stop() -> None:
    assert list(programs()) == ["gateway", "scheduler", "dispatcher", "routes", "worker"]
    assert list(programs(FIRESTORE)) == ["gateway", "scheduler", "dispatcher", "routes", "worker", "firestore"]


def test_all_of_them_stop_within_ten_seconds() -> None:
    assert sum(program.grace_s for program in programs(FIRESTORE).values()) < 10


def test_every_process_is_told_what_holds_the_documents() -> None:
    for program in list(programs(FIRESTORE, OMNI_STATE="sqlite").values())[:-1]:
        assert program.environment["OMNI_STATE"] == "firestore"
        assert program.environment["FIRESTORE_EMULATOR_HOST"] == "127.0.0.1:20003"


def test_functions_start_as_cloud_functions_do() -> None:
    assert programs()["gateway"].command[1:] == ("--target", "gateway", "--asgi")
    assert programs()["routes"].command[1:] == ("--target", "routes")


def test_every_server_has_its_own_loopback_address() -> None:
    found = programs()

    assert {name: found[name].environment["PORT"] for name in ("gateway", "routes", "worker")} == {
        "gateway": "8080",
        "routes": "20001",
        "worker": "20002",
    }
    assert all(found[name].environment["HOST"] == "127.0.0.1" for name in ("gateway", "routes", "worker"))


@pytest.mark.parametrize(("name", "internal"), [("gateway", "0"), ("routes", "1"), ("worker", "1")])
def test_only_what_stands_behind_the_gateway_is_internal(name: str, internal: str) -> None:
    assert programs(RUN_AS_INTERNAL="1")[name].environment["RUN_AS_INTERNAL"] == internal


def test_keys_of_the_environment_work_beside_the_master_key() -> None:
    assert programs()["gateway"].environment["API_KEYS"] == "master-key-local-1"
    assert programs(API_KEYS="free-1")["gateway"].environment["API_KEYS"] == "master-key-local-1,free-1"


@pytest.mark.parametrize("name", ["routes", "worker"])
def test_what_is_behind_the_gateway_can_verify_callers_and_make_none(name: str) -> None:
    environment = programs(OMNI_CALLER_PRIVATE_KEY=OTHER_PRIVATE_KEY)[name].environment
    assert environment["OMNI_CALLER_PUBLIC_KEYS"] == OTHER_PUBLIC_KEY
    assert environment.keys().isdisjoint({"OMNI_CALLER_PRIVATE_KEY", "API_KEYS"})


def test_keys_that_sign_callers_are_the_folders_own_unless_the_environment_has_some() -> None:
    assert programs()["gateway"].environment["OMNI_CALLER_PRIVATE_KEY"] == PRIVATE_KEY
    assert programs()["worker"].environment["OMNI_CALLER_PUBLIC_KEYS"] == PUBLIC_KEY
    several = programs(OMNI_CALLER_PUBLIC_KEYS=PUBLIC_KEY + OTHER_PUBLIC_KEY)["worker"]
    assert several.environment["OMNI_CALLER_PUBLIC_KEYS"] == PUBLIC_KEY + OTHER_PUBLIC_KEY


def test_a_stray_debug_variable_does_not_reach_the_functions_framework() -> None:
    assert "DEBUG" not in programs(DEBUG="1")["routes"].environment
