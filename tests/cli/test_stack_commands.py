"""The commands that act on the checkout hand their arguments on, and end with the status they are given."""

import pytest
from click.testing import CliRunner

from cli.__main__ import omni


@pytest.mark.parametrize(
    ("arguments", "target", "received"),
    [
        (["up", "--state", "firestore"], "local.up.run", (8080, "firestore", None)),
        (["up"], "local.up.run", (8080, "sqlite", None)),
        (["up", "--port", "9000", "--model", "none"], "local.up.run", (9000, "sqlite", "none")),
        (["test", "tests/cli", "-k", "chat", "-x"], "local.check.run", (["tests/cli", "-k", "chat", "-x"],)),
        (["lock"], "local.lock.run", ()),
        (["bench", "gateway", "--seconds", "3"], "bench.main.run", ("gateway", ["--seconds", "3"])),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_arguments_and_status_pass_through(
    arguments: list[str], target: str, received: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []

    def run(*given: object) -> int:
        calls.append(given)
        return 3

    monkeypatch.setattr(target, run)
    assert CliRunner().invoke(omni, arguments).exit_code == 3
    assert calls == [received]
