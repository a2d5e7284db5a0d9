"""One process of the local stack: how it is started, heard and stopped."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CHUNK = 64 * 1024
LONGEST_LINE = 1024 * 1024
LAST_WORDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    ready_url: str = ""
    """Answers 200 once the process can work; empty: it can as soon as it runs."""
    grace_s: float = 1.0
    """How long it may take to stop before it is killed."""


class Process:
    """A running program. It leads a process group of its own: a terminal's Ctrl-C reaches only the supervisor, which
    stops things in order, and what the program forked (a server's workers) can be ended with it."""

    def __init__(self, process: asyncio.subprocess.Process, listening: asyncio.Task[None]) -> None:
        self._process = process
        self._listening = listening

    @classmethod
    async def start(cls, program: Program, hear: Callable[[str], None]) -> Self:
        """Starts the program; `hear` gets every line it writes."""
        # The pipe is our own because asyncio's would count the process as running while a forked worker holds it open.
        ours, theirs = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env=program.environment,
                cwd=program.folder,
                process_group=0,
            )
        except BaseException:  # whatever it is, also a stop: the pipe would stay open
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return cls(process, asyncio.create_task(_listen(ours, hear)))

    @property
    def group(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def ended(self) -> int:
        """Waits for the end, by itself or not. Afterwards the whole group is gone and its last lines were heard."""
        code = await self._process.wait()
        await self._bury()
        return code

    async def stop(self, grace_s: float) -> None:
        """Asks it to end; kills it after `grace_s`."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        await self._bury()
        await self._process.wait()

    async def _bury(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, when only zombies are left
            os.killpg(self.group, signal.SIGKILL)
        await asyncio.wait([self._listening], timeout=LAST_WORDS_S)


async def _listen(descriptor: int, hear: Callable[[str], None]) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    pending = b""
    try:
        while chunk := await reader.read(CHUNK):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > LONGEST_LINE:
                lines, pending = [*lines, pending], b""
            for line in lines:
                hear(line.decode(errors="replace"))
        if pending:
            hear(pending.decode(errors="replace"))
    finally:
        transport.close()
