"""The functions' archive."""

import hashlib
import zipfile
from pathlib import Path

from click.testing import CliRunner

from cli.__main__ import omni
from local import package

CATALOGUE = package.CHECKOUT / "models.toml"


def test_the_same_code_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    digest = package.write(first, CATALOGUE)
    assert package.write(second, CATALOGUE) == digest
    assert hashlib.sha256(second.read_bytes()).hexdigest() == digest


def test_it_holds_what_the_functions_need_and_no_more(tmp_path: Path) -> None:
    package.write(archive := tmp_path / "functions.zip", CATALOGUE)
    names = zipfile.ZipFile(archive).namelist()
    assert {"main.py", "requirements.txt", "models.toml", "functions/routes.json", "shared/wiring.py"} <= set(names)
    assert {name.split("/")[0] for name in names} == {
        "main.py",
        "requirements.txt",
        "models.toml",
        "functions",
        "shared",
    }
    assert not [name for name in names if "__pycache__" in name]


def test_another_catalogue_takes_the_place_of_ours(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[[model]]\nid = "mine"\nupstreams = [{ url = "https://models.example.com/v1" }]\n')
    archive = tmp_path / "functions.zip"
    done = CliRunner().invoke(omni, ["package", "--models", str(mine), "--to", str(archive)])
    assert done.exit_code == 0, done.output
    assert zipfile.ZipFile(archive).read("models.toml") == mine.read_bytes()


def test_a_catalogue_that_the_functions_could_not_read_is_refused(tmp_path: Path) -> None:
    (broken := tmp_path / "broken.toml").write_text("[[model]]\n")
    done = CliRunner().invoke(omni, ["package", "--models", str(broken), "--to", str(tmp_path / "functions.zip")])
    assert done.exit_code == 1
    assert "broken.toml" in done.stderr
    assert not (tmp_path / "functions.zip").exists()
