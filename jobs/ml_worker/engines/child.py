"""An engine's process: started, listened to, and ended together with all that it has started."""

import asyncio
import logging
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[3]
LONGEST_LINE = 1024 * 1024
POLL_S = 0.1
LAST_WORDS_S = 0.5
"""How long they may take: a child of the engine that lives on keeps the pipe open."""

BAD = re.compile(r"[\d.]+ E |(\([^)]*\) )?(ERROR|CRITICAL)\b|\[?(error|E\d{4})\b", re.IGNORECASE)
"""How llama.cpp, vLLM, SGLang and Ollama begin a line that tells of an error."""
KNOWN = re.compile(
    r"out of memory|CUDA error|Segmentation fault|GGML_ASSERT|std::bad_alloc|terminate called|MemoryError|"
    r"RuntimeError|NCCL error|No space left on device|illegal memory access|EngineDeadError|Address already in use"
)
"""What may be logged of an engine that has served requests."""

log = logging.getLogger("omni.engine")


class Child:
    def __init__(self, name: str, process: subprocess.Popen[bytes], *pipes: "Pipe") -> None:
        """Of the pipes, the last is for the log."""
        self.name = name
        self.process = process
        self._pipes = pipes
        self._last_words = ""
        self._serves = False
        self._bad = 0
        self._listening = asyncio.create_task(self._listen(pipes[-1]))

    @classmethod
    async def start(cls, name: str, command: Sequence[str], environ: Mapping[str, str], *, reports: bool) -> "Child":
        """What it says before it serves goes to the log; with `reports` only what it says on standard error.

        Not by the event loop: uvloop's forks run Python in the copy of a process with threads, where a lock that one
        of them held is held for ever. A session of its own: Ctrl-C in a terminal is for the worker, which ends the
        engine when it is done with it.
        """
        process = subprocess.Popen(  # noqa: ASYNC220, S603  (returns in milliseconds; the operator names the program)
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if reports else subprocess.STDOUT,
            cwd=ROOT,
            env=dict(environ),
            start_new_session=True,
        )
        return cls(name, process, *[await Pipe.of(pipe) for pipe in (process.stdout, process.stderr) if pipe])

    def serves(self) -> None:
        """From now on what it says may quote a request: nothing of it is logged as it is."""
        self._serves = True
        self._last_words = ""

    def send(self, line: bytes) -> None:
        """To its standard input; BrokenPipeError when it has ended."""
        if self.process.stdin:
            self.process.stdin.write(line)

    async def report(self) -> bytes:
        """Its next line on standard output; empty when it ended instead."""
        return await self._pipes[0].lines.readline()

    async def ended(self) -> str:
        """Returns, saying how, when it has ended."""
        await self._end()
        return f"{self.name} ended with status {self.process.returncode}. {self._last_words}".strip()

    async def stop(self) -> None:
        """Kills it, and what it has left behind: they have nothing to lose, and asked nicely they would finish every
        running request."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self._end()
        for pipe in (self.process.stdin, *(each.transport for each in self._pipes)):
            if pipe:
                pipe.close()

    async def _end(self) -> None:
        while self.process.poll() is None:  # noqa: ASYNC110  (nothing tells when it has ended)
            await asyncio.sleep(POLL_S)
        await asyncio.wait({self._listening}, timeout=LAST_WORDS_S)

    async def _listen(self, pipe: "Pipe") -> None:
        """Reads what the engine says, until it ends."""
        while True:
            try:
                line = await pipe.lines.readline()
            except ValueError:  # longer than the limit; what was read of it is gone
                continue
            if not line:
                return
            text = line.decode(errors="replace").strip()
            if self._serves:
                self._count(text)
            else:
                self._last_words = text or self._last_words
                log.info(text)

    def _count(self, text: str) -> None:
        """Of a line that may quote a request, how bad it is, and what it says if that is one of a few things."""
        if known := KNOWN.search(text):
            self._last_words = known[0]
        if BAD.match(text):
            self._bad += 1
            if str(self._bad).strip("0") == "1":  # the first, the tenth, the hundredth …
                log.warning("engine reported errors", extra={"fields": {"engine": self.name, "count": self._bad}})


@dataclass(frozen=True, slots=True)
class Pipe:
    lines: asyncio.StreamReader
    transport: asyncio.ReadTransport

    @classmethod
    async def of(cls, pipe: IO[bytes]) -> "Pipe":
        lines = asyncio.StreamReader(LONGEST_LINE)
        protocol = asyncio.StreamReaderProtocol(lines)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        return cls(lines, transport)
