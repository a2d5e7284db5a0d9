"""Where a bench's figures are kept: as the last run, and where the caller asks for."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from bench.processes import CHECKOUT
from shared.settings import Settings

SAVED = CHECKOUT / "bench/results"


def cache() -> Path:
    """The folder that survives runs: what was installed, and each bench's last figures."""
    return CHECKOUT / Settings.load().state_dir / "bench"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and all figures there as well")
    parser.add_argument("--save", action="store_true", help="write them to bench/results/ as well, to be committed")
    parser.add_argument("--quick", action="store_true", help="only show that it works: seconds, and no peers")


def keep(name: str, report: Any, options: argparse.Namespace) -> None:
    """Writes the report, a dataclass, as JSON. Figures of a quick run are kept only where they were asked for."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    places = [] if options.quick else [cache() / f"last-{name}.json"]
    places += [options.json] if options.json else []
    places += [SAVED / f"{name}.json"] if options.save else []
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)
