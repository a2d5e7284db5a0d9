import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import check

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PASSES = (sys.executable, "-c", "print('nothing to say')")
FAILS = (sys.executable, "-c", "raise SystemExit('line 7 is bad')")
TESTS = (sys.executable, "-c", "import sys; print('tests with', sys.argv[1:])")


def test_every_step_runs_and_the_failed_ones_are_named_before_the_tests(capfd: pytest.CaptureFixture[str]) -> None:
    status = check.run([], {"format": FAILS, "lint": PASSES, "types": FAILS}, TESTS)

    out = capfd.readouterr().out.splitlines()
    assert status == 1
    assert [line.split() for line in out if line.startswith(("format", "lint", "types"))] == [
        ["format", "FAILED"],
        ["lint", "ok"],
        ["types", "FAILED"],
    ]
    assert "FAILED before the tests: format, types" in out
    assert out.count("line 7 is bad") == 2
    assert "nothing to say" not in out


def test_all_tests_run_several_at_once_and_speak_last(capfd: pytest.CaptureFixture[str]) -> None:
    assert check.run([], {"lint": PASSES}, TESTS) == 0

    last = capfd.readouterr().out.splitlines()[-1]
    assert last.startswith("tests with ['-n', ")


def test_failing_tests_fail_the_whole() -> None:
    assert check.run([], {"lint": PASSES}, FAILS) == 1


def test_arguments_choose_tests_and_nothing_else_runs(capfd: pytest.CaptureFixture[str]) -> None:
    assert check.run(["tests/cli", "-k", "chat"], {"lint": FAILS}, TESTS) == 0

    assert capfd.readouterr().out == "tests with ['tests/cli', '-k', 'chat']\n"


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 failed")])
def test_a_skip_is_a_failure_where_nobody_reads_it(tmp_path: Path, ci: str, outcome: str) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it():\n    pytest.skip('no Redis here')\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", os.devnull, "--rootdir", tmp_path, tmp_path],
        cwd=CHECKOUT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout
    assert "no Redis here" in done.stdout or not ci
