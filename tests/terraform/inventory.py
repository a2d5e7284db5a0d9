"""Writes the listings of what Terraform would make: `python -m tests.terraform.inventory`."""

import tempfile
from pathlib import Path

from tests.terraform.program import WHOLE, terraform

INVENTORIES = Path(__file__).parent / "inventories"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, terraform(Path(folder)) as program:
        (INVENTORIES / "smallest.txt").write_text(program.plan("dev", {}).listing())
        (INVENTORIES / "whole.txt").write_text(program.plan("prod", WHOLE).listing())
