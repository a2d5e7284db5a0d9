"""Help is quick, whole and by example."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from cli.__main__ import COMMANDS, omni


def every_command() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = omni.get_command(click.Context(omni), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", command.commands[each]) for each in command.commands)


@pytest.mark.parametrize(
    ("name", "command"), list(every_command()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_explains_itself_with_an_example_of_itself(name: str, command: click.Command) -> None:
    assert command.help is not None
    sentence, _, example = command.help.partition("\b")
    assert sentence.strip().endswith(".")
    assert f"omni {name}" in example


def test_the_overview_names_every_command() -> None:
    shown = CliRunner().invoke(omni, ["--help"], prog_name="omni").stdout
    assert all(f"  {name} " in shown and sentence in shown for name, sentence in COMMANDS.items())


def test_the_overview_loads_no_command() -> None:
    program = "import sys; from cli.__main__ import omni; omni(['--help'], standalone_mode=False); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"httpx", "rich", "msgspec", "local", "cli.chat"} & set(loaded.split())


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(omni, ["explode"], prog_name="omni")
    assert result.exit_code == 2
    assert "No such command 'explode'" in result.stderr


def test_a_bench_shows_its_own_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "bench", "gateway", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
