"""A supervisor on trial: tiny real programs, everything they say, and a way to be told to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from local.guard import Guard
from local.journal import Journal
from local.process import Program
from local.supervisor import Patience, Supervisor

QUICK = Patience(attempts=3, first_delay=0.01, longest_delay=0.04, poll=0.01)
STEADY = "import os, time; os.write(1, b'pid %d\\n' % os.getpid()); time.sleep(600)"


def tiny(name: str, code: str = STEADY, *, ready_url: str = "", grace_s: float = 5.0) -> Program:
    """A program that is a few lines of Python."""
    return Program(name, (sys.executable, "-S", "-c", code), dict(os.environ), Path.cwd(), ready_url, grace_s)


@dataclass
class Trial:
    folder: Path
    heard: list[tuple[str, str]] = field(default_factory=list)
    was_ready: bool = False

    def run(self, programs: list[Program], during: Callable[["Trial"], Awaitable[None]], **options: Patience) -> None:
        """Supervises the programs; once they are ready runs `during`, then sends the signal to stop."""
        asyncio.run(self._run(programs, during, options.get("patience", QUICK)))

    async def _run(
        self, programs: list[Program], during: Callable[["Trial"], Awaitable[None]], patience: Patience
    ) -> None:
        ready = asyncio.Event()

        async def act() -> None:
            await ready.wait()
            self.was_ready = True
            try:
                await during(self)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        acting = asyncio.create_task(act())
        journal = Journal(self.folder, lambda name, line: self.heard.append((name, line)))
        with closing(journal), closing(Guard()) as guard:
            try:
                await Supervisor(programs, journal, guard, self.probe, patience).run(ready.set)
                await acting
            finally:
                acting.cancel()

    async def probe(self, url: str) -> bool:
        """The programs of a trial are ready when they have made a file."""
        return os.path.exists(url)  # noqa: ASYNC240, PTH110

    def said(self, name: str) -> list[str]:
        return [line for who, line in self.heard if who == name]

    def pids(self, name: str) -> list[int]:
        """The process ids that the program has printed so far, one a start."""
        return [int(line.removeprefix("pid ")) for line in self.said(name) if line.startswith("pid ")]

    async def until(self, condition: Callable[[], object], description: str) -> None:
        try:
            async with asyncio.timeout(30):
                while not condition():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{description}: not within 30 s") from None
