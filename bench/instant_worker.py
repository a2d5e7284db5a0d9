"""A worker for batches whose model answers at once, to measure and to break everything around a model.

`python -m bench.instant_worker [--stay] [--delay S] [--log FILE] [--die-on TEXT]`: claims, reads, saves and finishes as
`python -m jobs.ml_worker.batch` does, because it is that; only the model is this file's.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from jobs.ml_worker.batch import DONE, work
from jobs.ml_worker.inference import Generation
from shared import telemetry
from shared.core.fairness import Owner
from shared.settings import Settings
from shared.wiring import Ports

LOOK_AGAIN_S = 0.02
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


class Instant:
    """Says what it was asked. Writes each text to the log before it answers, and ends its process on one of them."""

    def __init__(self, log: Path | None, delay_s: float, die_on: str | None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else None
        self._delay_s = delay_s
        self._die_on = die_on

    async def complete(
        self,
        _route: str,
        body: dict[str, Any],
        _owner: Owner,
        generation: Generation,
    ) -> dict[str, Any]:
        generation.begin()
        text = body["messages"][-1]["content"]
        if self._log is not None:
            os.write(self._log, f"{text}\n".encode())
        if text == self._die_on:
            os._exit(1)
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"object": "chat.completion", "model": body["model"], "choices": choices, "usage": USAGE}


def main() -> int:
    options = _options()
    settings = Settings.load()
    telemetry.start_logging("batch", settings.log_level)
    ports = Ports(settings)
    return asyncio.run(_serve(settings, ports, Instant(options.log, options.delay, options.die_on), stay=options.stay))


async def _serve(settings: Settings, ports: Ports, model: Instant, *, stay: bool) -> int:
    while True:
        status = await work(settings, ports, model)
        if status != DONE or not stay:
            return status
        await asyncio.sleep(LOOK_AGAIN_S)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.instant_worker")
    parser.add_argument("--stay", action="store_true", help="wait for more when nothing is left")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="seconds that an answer takes")
    parser.add_argument("--log", type=Path, help="where to note each text asked")
    parser.add_argument("--die-on", metavar="TEXT", help="end at once when asked this")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
