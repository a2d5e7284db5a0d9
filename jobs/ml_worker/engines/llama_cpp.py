"""The embedded engine: llama.cpp, through the package xllamacpp, in a child process."""

import asyncio
import os
import sys
from importlib.util import find_spec
from secrets import token_urlsafe

import msgspec

from jobs.ml_worker.engines import llama_server, weights
from jobs.ml_worker.engines.child import Child
from jobs.ml_worker.engines.dialects import LLAMA_COUNTING, LLAMA_PARAMETERS, SPIN_BRIEFLY
from jobs.ml_worker.engines.engine import EngineFailed, EngineMissing, Running
from jobs.ml_worker.engines.shared_context import with_reserve
from shared.settings import Settings, child_environment


class LlamaCpp:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child: Child | None = None

    async def start(self) -> Running:
        if find_spec("xllamacpp") is None:
            raise EngineMissing("The embedded engine is the package xllamacpp, which is not installed: extra `ml`.")
        options = self._options(str(await asyncio.to_thread(weights.verified, self._settings)))
        command = (sys.executable, "-m", llama_server.__name__, msgspec.json.encode(options).decode())
        self._child = await Child.start("llama.cpp", command, {**SPIN_BRIEFLY, **child_environment()}, reports=True)
        key = token_urlsafe(32)
        self._child.send(key.encode() + b"\n")
        told = await self._child.report()
        if not told:
            raise EngineFailed(f"The model could not be loaded. {await self.ended()}")
        self._child.serves()
        started = msgspec.json.decode(told, type=llama_server.LlamaStarted)
        return Running(
            started.base_url,
            min(started.context, self._settings.worker_context),
            self._settings.worker_context,
            started.calls_tools,
            started.media,
            LLAMA_PARAMETERS,
            counting=LLAMA_COUNTING,
            reasons=started.reasons,
            headers=(("authorization", f"Bearer {key}"),),
            takes_grammars=True,
            loop_page="/slots",
        )

    async def ended(self) -> str:
        return await self._child.ended() if self._child else "llama.cpp was not started."

    async def stop(self) -> None:
        if self._child:
            await self._child.stop()

    def _options(self, path: str) -> llama_server.LlamaOptions:
        return llama_server.LlamaOptions(
            path,
            self._settings.worker_model,
            with_reserve(self._settings.worker_slots),
            with_reserve(self._settings.worker_context),
            self._settings.worker_threads or _cores(),
            3 if self._settings.log_level.upper() == "DEBUG" else 1,
        )


def _cores() -> int:
    """Those this process may run on, where the system tells."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
