"""A command finds its platform: by option, by environment, or by what `omni up` has left."""

from pathlib import Path

import pytest

from cli.connection import Connection, find
from cli.errors import CliError, NoPlatform
from tests.cli.conftest import Omni
from tests.cli.platform import MASTER, Platform


@pytest.fixture
def local_file(tmp_path: Path) -> Path:
    file = tmp_path / "dev.env"
    file.write_text("# made by omni up\nOMNI_BASE_URL=http://127.0.0.1:8080\nOMNI_API_KEY='master-local'\n")
    return file


def test_the_local_stack_is_the_default(local_file: Path) -> None:
    assert find("", "", local_file) == Connection("http://127.0.0.1:8080", "master-local")


def test_what_is_asked_for_comes_first(local_file: Path) -> None:
    assert find("https://omni.example", "k", local_file) == Connection("https://omni.example", "k")
    assert find("", "k", local_file) == Connection("http://127.0.0.1:8080", "k")


def test_the_address_may_be_written_as_for_openai_clients(local_file: Path) -> None:
    assert find("http://127.0.0.1:8080/v1/", "", local_file).base_url == "http://127.0.0.1:8080"


def test_the_local_key_is_never_sent_elsewhere(local_file: Path) -> None:
    with pytest.raises(CliError, match=r"No key for https://omni\.example is known"):
        find("https://omni.example", "", local_file)


def test_without_any_stack_the_command_that_starts_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoPlatform, match=r"Start one with '\./omni up'"):
        find("", "", tmp_path / "dev.env")


def test_an_address_without_a_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="must begin with http:// or https://"):
        find("localhost:8080", "k", tmp_path / "dev.env")


def test_options_win_over_the_environment(omni: Omni, platform: Platform) -> None:
    result = omni("models", "--api-key", MASTER, "--base-url", platform.base_url, OMNI_API_KEY="x", OMNI_BASE_URL="y")
    assert result.exit_code == 0


def test_the_state_folder_of_the_environment_is_read(omni: Omni, platform: Platform, local_file: Path) -> None:
    local_file.write_text(f"OMNI_BASE_URL={platform.base_url}\nOMNI_API_KEY={MASTER}\n")
    assert omni("models", OMNI_BASE_URL=None, OMNI_API_KEY=None).exit_code == 0
