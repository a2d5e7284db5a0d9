"""The launcher in a checkout of its own, whose command line only prints what it was given."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CLI = "import os, sys; print(os.getcwd(), os.environ['OMNI_CALLED_FROM'], *sys.argv[1:])"
FAKE_PYTHON = "#!/bin/sh\necho ran: $@\n"
TOOLS = ("bash", "env", "dirname", "readlink")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that asks for no package at all."""
    here = tmp_path.resolve() / "checkout"
    for folder in ("cli", "local", "requirements"):
        (here / folder).mkdir(parents=True)
    shutil.copy(CHECKOUT / "omni", here)
    shutil.copy(CHECKOUT / "local/packages.py", here / "local")
    (here / "cli/__main__.py").write_text(CLI)
    (here / "requirements/local.txt").write_text("# nothing\n")
    (here / "requirements/cloud.txt").write_text("# nothing, for Google Cloud\n")
    (here / "requirements/dev.txt").write_text("# nothing, for development\n")
    return here


@pytest.fixture
def installed(checkout: Path) -> Path:
    """A checkout whose .venv looks complete, with a Python that only says how it was called."""
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").write_text(FAKE_PYTHON)
    (checkout / ".venv/bin/python").chmod(0o755)
    stamp(checkout, "local")
    return checkout


def stamp(checkout: Path, name: str) -> None:
    (checkout / f".venv/{name}.stamp").write_text(f"{checkout}\n{(checkout / f'requirements/{name}.txt').read_text()}")


def omni(checkout: Path, *arguments: str, cwd: Path | None = None, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(checkout)}
    command = [str(checkout / "omni"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def tools_only(folder: Path) -> str:
    """A PATH with no Python on it."""
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or "")
    return str(folder)


def installs(checkout: Path, name: str, tmp_path: Path) -> bool:
    """Whether the launcher turns to the installer, asked with a PATH on which a fake Python says so."""
    path = tools_only(tmp_path / "tools")
    (tmp_path / "tools/python3").write_text('#!/bin/sh\n[ "$1" = -c ] || { echo installer $@ >&2; exit 9; }\n')
    (tmp_path / "tools/python3").chmod(0o755)
    return f"installer -I local/packages.py {name}" in omni(checkout, *SAMPLES[name], path=path).stderr


SAMPLES = {"local": ("up",), "cloud": ("up", "--state", "firestore"), "dev": ("test",)}


def test_a_complete_venv_is_used_at_once(installed: Path) -> None:
    assert omni(installed, "chat", "two words").stdout == "ran: -m cli chat two words\n"


def test_it_needs_no_python_but_the_venvs(installed: Path, tmp_path: Path) -> None:
    assert omni(installed, "models", path=tools_only(tmp_path / "tools")).stdout == "ran: -m cli models\n"


def test_a_changed_lock_file_is_installed(installed: Path, tmp_path: Path) -> None:
    (installed / "requirements/local.txt").write_text("# something else\n")

    assert installs(installed, "local", tmp_path)


def test_a_moved_checkout_is_installed_again(installed: Path, tmp_path: Path) -> None:
    """The scripts in a venv begin with the path of its Python."""
    moved = installed.rename(tmp_path / "moved")

    assert installs(moved, "local", tmp_path)


def test_development_packages_are_added_for_the_tests(installed: Path, tmp_path: Path) -> None:
    assert installs(installed, "dev", tmp_path)


@pytest.mark.parametrize("command", [("test", "--help"), ("bench", "gateway", "--help"), ("lint", "-h")])
def test_help_installs_no_development_packages(installed: Path, command: tuple[str, ...]) -> None:
    assert omni(installed, *command).stdout == f"ran: -m cli {' '.join(command)}\n"


def test_development_packages_stay_when_the_platform_is_started(installed: Path) -> None:
    (installed / ".venv/local.stamp").unlink()
    stamp(installed, "dev")

    assert omni(installed, "up").stdout == "ran: -m cli up\n"


@pytest.mark.parametrize("name", ["cloud", "dev"])
def test_googles_packages_are_added_for_firestore_and_stay(installed: Path, tmp_path: Path, name: str) -> None:
    assert installs(installed, "cloud", tmp_path)
    (installed / ".venv/local.stamp").unlink()
    stamp(installed, name)
    for command in (("up",), ("up", "--state", "firestore"), ("up", "--state=firestore")):
        assert omni(installed, *command).stdout == f"ran: -m cli {' '.join(command)}\n"


def test_without_a_python_it_says_what_to_install(checkout: Path, tmp_path: Path) -> None:
    done = omni(checkout, "up", path=tools_only(tmp_path / "tools"))

    assert done.returncode == 1
    assert "no Python 3.11 or newer was found" in done.stderr


@pytest.mark.slow
def test_two_first_starts_at_once_make_one_venv_and_both_run(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv/half-made").touch()
    (tmp_path / "link").symlink_to(checkout / "omni")

    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    both = [
        subprocess.Popen([command, "up"], cwd=tmp_path, env=environment, stdout=-1, stderr=-1, text=True)
        for command in (checkout / "omni", tmp_path / "link")
    ]
    answers = [process.communicate(timeout=500) for process in both]

    assert [out for out, _ in answers] == [f"{checkout} {tmp_path} up\n"] * 2
    assert sorted(err.partition(" ")[0] for _, err in answers) == ["Another", "Installing"]
    assert not (checkout / ".venv/half-made").exists()
