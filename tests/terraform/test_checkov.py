"""Checkov finds nothing in the configuration that is not explained where it stands."""

import json
import re
import subprocess

from tests.terraform.program import CHECKOUT, CONFIGURATION
from tests.tools import environment_with

REASON = re.compile(r"checkov:skip=CKV2?_GCP_\d+: \w.{30,}")


def test_nothing_is_found() -> None:
    checkov = environment_with(CHECKOUT / "requirements" / "checkov.txt").with_name("checkov")
    options = ["--framework", "terraform", "--compact", "--quiet", "--skip-download", "--output", "json"]
    done = subprocess.run([checkov, "-d", CONFIGURATION, *options], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    found = [
        f"{each['check_id']} {each['check_name']}: {each['resource']}" for each in told["results"]["failed_checks"]
    ]
    assert found == []
    assert told["summary"]["parsing_errors"] == 0
    assert told["summary"]["passed"] > 40


def test_every_exception_has_its_reason_beside_it() -> None:
    for file in CONFIGURATION.glob("*.tf"):
        for line in file.read_text().splitlines():
            assert "checkov:skip" not in line or REASON.search(line), f"{file.name}: {line}"
