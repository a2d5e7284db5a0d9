"""The bill of materials: what the locks say is installed, by the program of CycloneDX itself."""

import json
import subprocess
from pathlib import Path
from typing import Any

from local.tools import environment_with

CHECKOUT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", "requirements/worker.txt")
"""Of the functions and of the worker; each package stands in it once."""


def write(file: Path) -> int:
    """Writes the bill; how many packages it lists."""
    program = environment_with(CHECKOUT / "requirements" / "linters.txt").with_name("cyclonedx-py")
    bill: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for lock in LOCKS:
        command = [str(program), "requirements", lock, "--output-format", "JSON", "--output-reproducible"]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        bill = json.loads(done.stdout)
        found |= {each["purl"]: each for each in bill["components"]}
    bill["components"] = [found[purl] for purl in sorted(found)]
    bill["dependencies"] = [{"ref": each["bom-ref"]} for each in bill["components"]]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill, indent=2) + "\n")
    return len(found)
