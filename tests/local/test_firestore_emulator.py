"""Where the emulator is found, and what a person is told where it is not."""

from pathlib import Path

import pytest

from local import up
from local.firestore_emulator import JAR, EmulatorMissing, command
from shared.settings import StateKeeper
from tests.machine import free_port


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only programs are those that a test puts into its `bin`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("OMNI_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_it_is_found_beside_the_gcloud_on_the_path(machine: Path) -> None:
    (machine / "bin/gcloud").symlink_to(program(machine / "sdk/bin/gcloud"))
    java = program(machine / "bin/java")
    jar = program(machine / "sdk" / JAR)
    found = command("127.0.0.1", 20003)
    assert found[0] == str(java)
    assert str(jar) in found
    assert found[-4:] == ("--host", "127.0.0.1", "--port", "20003")


def test_each_thing_that_is_missing_is_named_with_the_command_that_brings_it(machine: Path) -> None:
    with pytest.raises(EmulatorMissing, match=r"install it .* and run: gcloud components install cloud-firestore-emul"):
        command("127.0.0.1", 1)
    (machine / "bin/gcloud").symlink_to(program(machine / "sdk/bin/gcloud"))
    with pytest.raises(EmulatorMissing, match=r"run: gcloud components install cloud-firestore-emulator \(or: apt-get"):
        command("127.0.0.1", 1)
    program(machine / "sdk" / JAR)
    with pytest.raises(EmulatorMissing, match="run: apt-get install openjdk-17-jre-headless"):
        command("127.0.0.1", 1)


def test_omni_up_says_so_in_one_sentence(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up.run(free_port(), StateKeeper.FIRESTORE, "none") == 1
    assert capsys.readouterr().err.startswith("Error: the Firestore emulator needs the Google Cloud CLI: install it")
