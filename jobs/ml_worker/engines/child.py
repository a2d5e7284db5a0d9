"""An engine's process: started, listened to, and ended together with all that it has started."""

import asyncio
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[3]
LONGEST_LINE = 1024 * 1024
POLL_S = 0.1
LAST_WORDS_S = 0.5
"""How long they may take: a child of the engine that lives on keeps the pipe open."""

log = logging.getLogger("omni.engine")


class Child:
    def __init__(self, name: str, process: Process, told: asyncio.StreamReader) -> None:
        self.name = name
        self.process = process
        self._last_words = ""
        self._listening = asyncio.create_task(self._listen(told))

    @classmethod
    async def start(cls, name: str, command: Sequence[str], environ: Mapping[str, str], *, reports: bool) -> "Child":
        """What it says goes to the log; with `reports` only what it says on standard error.

        A session of its own: Ctrl-C in a terminal is for the worker, which ends the engine when it is done with it.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE if reports else asyncio.subprocess.STDOUT,
            limit=LONGEST_LINE,
            cwd=ROOT,
            env=dict(environ),
            start_new_session=True,
        )
        return cls(name, process, _pipe(process.stderr if reports else process.stdout))

    async def report(self) -> bytes:
        """Its next line on standard output; empty when it ended instead."""
        return await _pipe(self.process.stdout).readline()

    async def ended(self) -> str:
        """Returns, saying how, when it has ended."""
        while self.process.returncode is None:  # noqa: ASYNC110  (before Python 3.12.4 wait() waits for the pipes too)
            await asyncio.sleep(POLL_S)
        await asyncio.wait({self._listening}, timeout=LAST_WORDS_S)
        return f"{self.name} ended with status {self.process.returncode}. {self._last_words}".strip()

    async def stop(self) -> None:
        """Kills it, and what it has left behind: they have nothing to lose, and asked nicely they would finish every
        running request."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        await asyncio.wait({self._listening}, timeout=LAST_WORDS_S)

    async def _listen(self, told: asyncio.StreamReader) -> None:
        """Logs what the engine says, until it ends, and remembers the last line."""
        while True:
            try:
                line = await told.readline()
            except ValueError:  # longer than the limit; what was read of it is gone
                continue
            if not line:
                return
            text = line.decode(errors="replace").strip()
            self._last_words = text or self._last_words
            log.info(text)


def _pipe(pipe: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if pipe is None:
        raise RuntimeError("the engine was started without its pipes")
    return pipe
