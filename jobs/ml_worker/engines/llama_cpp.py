"""The embedded engine: llama.cpp, through the package xllamacpp, in a child process."""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from importlib.util import find_spec
from pathlib import Path

import msgspec

from jobs.ml_worker.engines import llama_server, weights
from jobs.ml_worker.engines.engine import EngineFailed, EngineMissing, Running
from shared.settings import Settings, environment

ROOT = Path(__file__).parents[3]
PARAMETERS = frozenset({"top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "ignore_eos"})
LONGEST_LINE = 1024 * 1024
SPIN_BRIEFLY = {"GOMP_SPINCOUNT": "300"}
"""How long llama.cpp's threads spin for one another after each step, before they sleep. As it comes they spin for so
long that all of them lose their time when another process takes a core for a moment. Tokens a second on two cores,
as it comes and so: 98 and 88 on a quiet machine, 3 and 23 beside one busy process."""

log = logging.getLogger("omni.engine")


class LlamaCpp:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: Process | None = None
        self._listening: asyncio.Task[str] | None = None

    async def start(self) -> Running:
        if find_spec("xllamacpp") is None:
            raise EngineMissing("The embedded engine is the package xllamacpp, which is not installed: extra `ml`.")
        path = await asyncio.to_thread(weights.verified, self._settings)
        self._process = process = await self._spawn(path)
        self._listening = asyncio.create_task(_last_words(_pipe(process.stderr)))
        told = await _pipe(process.stdout).readline()
        if not told:
            raise EngineFailed(f"The model could not be loaded. {await self.ended()}")
        started = msgspec.json.decode(told, type=llama_server.LlamaStarted)
        return Running(
            started.base_url,
            started.context,
            self._settings.worker_context,
            started.calls_tools,
            started.media,
            PARAMETERS,
            loop_page="/slots",
        )

    async def ended(self) -> str:
        if self._process is None or self._listening is None:
            return "llama.cpp was not started."
        last_words = await asyncio.shield(self._listening)
        return f"llama.cpp ended with status {await self._process.wait()}. {last_words}".strip()

    async def stop(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()  # it has nothing to lose, and asked nicely it would finish every running request
            await self._process.wait()

    async def _spawn(self, path: Path) -> Process:
        options = llama_server.LlamaOptions(
            str(path),
            self._settings.worker_model,
            self._settings.worker_slots,
            self._settings.worker_context,
            self._settings.worker_threads or _cores(),
            3 if self._settings.log_level.upper() == "DEBUG" else 1,
        )
        # A session of its own: Ctrl-C in a terminal is for the worker, which ends the engine when it is done with it.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", llama_server.__name__, msgspec.json.encode(options)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=LONGEST_LINE,
            cwd=ROOT,
            env={**SPIN_BRIEFLY, **environment()},
            start_new_session=True,
        )


def _cores() -> int:
    """Those this process may run on, where the system tells."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


async def _last_words(stderr: asyncio.StreamReader) -> str:
    """Logs what the engine says, until it ends; gives the last line."""
    last = ""
    async for line in stderr:
        last = line.decode(errors="replace").strip() or last
        log.info(last)
    return last


def _pipe(pipe: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if pipe is None:
        raise RuntimeError("the engine was started without its pipes")
    return pipe
