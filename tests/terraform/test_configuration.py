"""What Terraform itself says of the configuration, and what it would make."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.terraform.program import CONFIGURATION, STAND_IN, Plan, Terraform
from tests.tools import environment_with

INVENTORIES = Path(__file__).parent / "inventories"
SELF = "python -m tests.terraform.inventory"


def test_it_is_formatted(terraform: Terraform) -> None:
    done = terraform.run("fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, f"{done.stdout}\nterraform fmt -recursive terraform"


def test_it_is_valid(terraform: Terraform) -> None:
    done = terraform.run("validate", "-no-color")
    assert done.returncode == 0, done.stderr


def test_dynamic_blocks_fit_the_schema_too() -> None:
    if not STAND_IN.exists():
        pytest.skip("validate leaves out dynamic blocks; the stand-in's linter, which does not, is not here")
    python = environment_with(STAND_IN / "requirements.txt")
    done = subprocess.run([python, STAND_IN / "lint.py", CONFIGURATION], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_its_own_tests_pass(terraform: Terraform) -> None:
    done = terraform.run("test", "-no-color", "-filter=tests/promises.tftest.hcl")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_variable_takes_just_anything() -> None:
    text = "".join(file.read_text() for file in CONFIGURATION.glob("*.tf"))
    assert not re.findall(r"^\s*type\s*=.*\bany\b", text, re.MULTILINE)
    assert text.count('\nvariable "') == len(re.findall(r'\nvariable "\w+" \{\n  description = "', "\n" + text))


@pytest.mark.parametrize("name", ["smallest", "whole"])
def test_it_makes_what_was_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    """The listing is read by a person whenever it changes."""
    plan: Plan = request.getfixturevalue(name)
    reviewed = (INVENTORIES / f"{name}.txt").read_text()
    assert plan.listing() == reviewed, f"If this is meant, write it anew and review the difference: {SELF}"


def test_no_file_is_longer_than_it_may_be() -> None:
    lengths = {file.name: len(file.read_text().splitlines()) for file in CONFIGURATION.rglob("*.tf")}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
