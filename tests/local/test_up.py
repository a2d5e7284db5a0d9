import os
import socket
from pathlib import Path

import pytest

from local import up
from local.addresses import HOST
from local.claim import claimed
from shared.settings import StateKeeper
from tests.machine import free_port


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMNI_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_taken_port_is_an_error_that_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        assert up.run(port, StateKeeper.SQLITE, "none") == 1

    assert f"Error: port {port} is taken" in capsys.readouterr().err


def test_a_second_stack_on_the_same_state_is_an_error_that_names_the_first(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with claimed(state_dir):
        assert up.run(free_port(), StateKeeper.SQLITE, "none") == 1

    assert f"is up already from {state_dir} (process {os.getpid()})" in capsys.readouterr().err


def test_the_state_is_free_again_after_a_failed_start(state_dir: Path) -> None:
    assert up.run(free_port(), StateKeeper.SQLITE, "nonsense") == 1

    with claimed(state_dir):
        pass


def test_an_unknown_model_is_an_error_that_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert up.run(free_port(), StateKeeper.SQLITE, "nonsense") == 1

    assert "no model 'nonsense'; it can serve smollm2-135m-instruct" in capsys.readouterr().err


def test_a_bad_setting_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMNI_WORKER_SLOTS", "many")

    assert up.run(free_port(), StateKeeper.SQLITE, None) == 1

    assert "Error: OMNI_WORKER_SLOTS must be a number" in capsys.readouterr().err
