"""The worker's model: its engine is started in the background, watched, and started again when it ends."""

import asyncio
import logging

from jobs.ml_worker.completions.answer import Loaded
from jobs.ml_worker.constraints.compiler import SchemaCompiler
from jobs.ml_worker.constraints.schema_guard import SchemaGuard
from jobs.ml_worker.engines.blocklist import Blocklist
from jobs.ml_worker.engines.chunked_prefill import ChunkedPrefill
from jobs.ml_worker.engines.client import EngineClient
from jobs.ml_worker.engines.engine import Engine, EngineFailed, EngineMissing
from jobs.ml_worker.engines.running_calls import RunningCalls
from jobs.ml_worker.engines.shared_context import SharedContext
from jobs.ml_worker.watchdog import Watchdog
from shared.core.errors import NotInstalled, OmniError, Unavailable
from shared.ports.upstream import Upstream
from shared.settings import Settings

NONE = "none"
OK = "ok"
LONGEST_PAUSE_S = 60.0
SILENCE_S = 600.0
RETRY_AFTER_S = 2

log = logging.getLogger("omni.model")


class ServedModel:
    def __init__(self, settings: Settings, engine: Engine | None, upstream: Upstream, blocklist: Blocklist) -> None:
        """No engine: the worker runs jobs that need no model, and says so to requests that do."""
        self.id = settings.worker_model
        self.state = "loading" if engine else OK
        """`ok`, or why there is no answer to be had."""
        self._slots = settings.worker_slots
        self._stall_s = settings.worker_stall_s
        self._engine = engine
        self._upstream = upstream
        self._blocklist = blocklist
        self._compiler = SchemaCompiler()
        self.guard = SchemaGuard(self._compiler)
        self._loaded: Loaded | None = None
        self._missing = "" if engine else "This worker serves no model: OMNI_WORKER_MODEL is 'none'."
        self._stopped = asyncio.Event()

    @property
    def is_loading(self) -> bool:
        """Whether it is worth waiting for."""
        return not self._loaded and not self._missing

    def loaded(self) -> Loaded:
        """The model when it answers; Unavailable while it is loading, NotInstalled when there is none."""
        if self._loaded and self._loaded.watchdog.is_silent:
            raise Unavailable(
                f"The model '{self.id}' does not answer.", code="model_stalled", retry_after_s=RETRY_AFTER_S
            )
        if self._loaded:
            return self._loaded
        if self._missing:
            raise NotInstalled(self._missing, code="model_not_installed")
        raise Unavailable(
            f"The model '{self.id}' is loading.", code="model_loading", detail=self.state, retry_after_s=RETRY_AFTER_S
        )

    async def keep_running(self) -> None:
        """Runs until the model is stopped. An engine that fails is tried again, after a pause that doubles."""
        pause_s = 1.0
        while self._engine and not self._missing and not self._stopped.is_set():
            try:
                self._loaded = await self._load(self._engine)
                self.state, pause_s = OK, 1.0
                log.info("model ready", extra={"fields": {"model": self.id}})
                self.state = await _over(self._engine, self._loaded.watchdog)
                if self._stopped.is_set():
                    return
                await self._loaded.calls.end(self.state, stalled=self._loaded.watchdog.gave_up)
            except EngineMissing as error:
                self._missing = self.state = str(error)
            except (EngineFailed, OmniError) as error:
                self.state = str(error)
            except Exception as error:  # the edge of a background task: were it to end, no model would ever come
                log.exception("unexpected error")
                self.state = type(error).__name__
            self._loaded = None
            log.error("no model", extra={"fields": {"model": self.id, "reason": self.state}})
            await self._engine.stop()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def stop(self) -> None:
        self._stopped.set()
        if self._loaded:
            self._loaded.calls.close()
        self._loaded = None
        self.state = "stopping"
        if self._engine:
            await self._engine.stop()
        await self._compiler.stop()

    async def _load(self, engine: Engine) -> Loaded:
        """Starts the engine and has it answer once, so that the first caller does not wait for what comes only then."""
        running = await engine.start()
        client = EngineClient(self._upstream, running, SILENCE_S)
        await client.answer_once(self.id)
        watchdog = Watchdog(client, running.loop_page, self._stall_s)
        context = SharedContext(running.shared_context, self._slots)
        prefill, calls = ChunkedPrefill(client, self._slots), RunningCalls(self._blocklist)
        return Loaded(running, client, context, prefill, self._slots, watchdog, calls)


async def _over(engine: Engine, watchdog: Watchdog) -> str:
    """Returns, saying why, when the engine has ended or stands still."""
    ends = [asyncio.ensure_future(end) for end in (engine.ended(), watchdog.stalled())]
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
