"""The machine a bench ran on: what its figures mean nothing without."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.processes import CHECKOUT


@dataclass(frozen=True, slots=True)
class Machine:
    date: str
    revision: str
    """The checkout's commit, with `-dirty` when files differ from it; empty outside a checkout."""
    processor: str
    core_count: int
    memory_gib: float
    kernel: str
    python: str
    load_average_before: float
    """Over the last minute. Above a few tenths, something else was running."""

    @property
    def heading(self) -> str:
        place = f"{self.core_count} cores of {self.processor}, load average {self.load_average_before}"
        return f"{self.date} {self.revision}".rstrip() + f"\n{place}"


def describe() -> Machine:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        revision=_revision(),
        processor=_processor(),
        core_count=os.cpu_count() or 1,
        memory_gib=round(pages * page_bytes / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        load_average_before=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        printed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)  # noqa: S603
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return printed.stdout.strip()
