"""The ML worker as a service: `python -m jobs.ml_worker.main`."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from jobs.ml_worker.edge import Edge
from jobs.ml_worker.engine_inference import EngineInference
from jobs.ml_worker.engines.blocklist import Blocklist
from jobs.ml_worker.engines.choice import chosen
from jobs.ml_worker.engines.engine import Engine
from jobs.ml_worker.model import ServedModel
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.workshop import Workshop
from shared import reporting, telemetry
from shared.catalogue import Catalogue
from shared.keys.authentication import Authenticator
from shared.keys.caller_keys import PUBLIC, CallerVerifier
from shared.limits.policy import LimitPolicy, tier_limits
from shared.money.policy import BudgetPolicy
from shared.readiness import Remembered, Services, secrets_check
from shared.settings import Settings
from shared.web.door import Door
from shared.web.http1 import ConnectionBounds, http_protocol
from shared.web.keep_alive import KEEP_ALIVE_S
from shared.web.system import SystemPages
from shared.web.system_door import SystemDoor
from shared.wiring import Ports

JOBS_MAY_END_WITHIN_S = 1.0
STREAMS_MAY_END_WITHIN_S = 6.0
CANCEL_AFTER_S = 9
"""Cloud Run kills 10 s after it asked to stop."""


@dataclass(frozen=True, slots=True)
class Worker:
    application: Starlette
    wind_down: Callable[[], Awaitable[None]]
    """Ends what still runs, after a while in which it may end by itself."""


class WorkerServer(uvicorn.Server):
    """Winds the work down while uvicorn waits for the last connections."""

    def __init__(self, config: uvicorn.Config, wind_down: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._wind_down = wind_down

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        winding_down = asyncio.ensure_future(self._wind_down())
        await super().shutdown(sockets)
        winding_down.cancel()


def main() -> None:
    settings = Settings.load()
    telemetry.start_logging("worker", settings.log_level)
    reporting.start_errors(settings, "worker")
    reporting.start_metrics(settings, "worker", forks=False)
    ports = Ports(settings)
    worker = build(settings, ports, chosen(settings, ports.upstream, ports.secrets))
    config = uvicorn.Config(
        worker.application,
        settings.host,
        settings.port,
        http=http_protocol(ConnectionBounds.of(settings, per_address=False)),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CANCEL_AFTER_S,
    )
    WorkerServer(config, worker.wind_down).run()


def build(settings: Settings, ports: Ports, engine: Engine | None) -> Worker:
    """The worker, composed from the ports. Settings that cannot work raise SettingsError."""
    slots = Slots(settings.worker_slots)
    blocklist = Blocklist(ports.store, ports.clock)
    model = ServedModel(settings, engine, ports.upstream, blocklist)
    inference = EngineInference(settings, model, ports.clock)
    runner = Workshop(settings, ports, inference, slots).runner(lambda: not model.is_loading)
    budgets = BudgetPolicy.of(settings, Catalogue.load(settings.models_file))
    pages = SystemPages("worker", _readiness(ports, model))
    edge = Edge(settings, ports.clock, _door(settings, ports), pages, inference, runner.run, budgets)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as ending:
            ending.push_async_callback(ports.upstream.close)
            ending.callback(runner.close)
            ending.push_async_callback(model.stop)
            loading = asyncio.create_task(model.keep_running())
            ending.callback(loading.cancel)
            keeping_up = asyncio.create_task(blocklist.keep_up())
            ending.callback(keeping_up.cancel)
            yield

    async def wind_down() -> None:
        await asyncio.sleep(JOBS_MAY_END_WITHIN_S)
        await edge.release_jobs()
        await asyncio.sleep(STREAMS_MAY_END_WITHIN_S - JOBS_MAY_END_WITHIN_S)
        await model.stop()

    return Worker(Starlette(routes=[Route("/{path:path}", edge)], lifespan=lifespan), wind_down)


def _door(settings: Settings, ports: Ports) -> Door:
    authenticator = Authenticator.from_settings(settings, ports.secrets, ports.store, ports.clock)
    policy = LimitPolicy(tier_limits(settings.tier_limits))
    system = SystemDoor.from_settings(settings, ports.verifier, [settings.worker_url])
    return Door(
        settings, CallerVerifier(ports.secrets, ports.clock), authenticator, ports.limiter, ports.clock, policy, system
    )


def _readiness(ports: Ports, model: ServedModel) -> Callable[[], Services]:
    """Store and queue are optional: a model answers without them, and jobs wait."""
    secrets = Remembered(secrets_check(ports.secrets, PUBLIC), ports.clock)
    store, queue = Remembered(ports.store.ping, ports.clock), Remembered(ports.queue.ping, ports.clock)
    return lambda: Services(
        {"model": model.state, "secrets": secrets()},
        {"store": store(), "queue": queue()},
    )


if __name__ == "__main__":
    main()
