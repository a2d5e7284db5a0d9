"""The local Cloud Scheduler: `python -m local.scheduler` calls the manifest's schedules when their cron says so."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from cronsim import CronSim

from local.system_calls import SystemCalls
from shared import manifest, telemetry
from shared.keys.caller_keys import CallerSigningKey
from shared.manifest import Route
from shared.ports.clock import Clock
from shared.ports.upstream import OutgoingRequest, Upstream, UpstreamError
from shared.settings import Settings
from shared.wiring import Ports

log = logging.getLogger("omni.scheduler")


class Scheduler:
    def __init__(
        self,
        routes_url: str,
        upstream: Upstream,
        clock: Clock,
        sign: Callable[[str, bytes], tuple[str, str]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._routes_url = routes_url
        self._upstream = upstream
        self._clock = clock
        self._sign = sign
        self._sleep = sleep

    async def run(self, schedules: Sequence[Route]) -> None:
        async with asyncio.TaskGroup() as group:
            for route in schedules:
                group.create_task(self._repeat(route))

    async def _repeat(self, route: Route) -> None:
        """Calls one schedule, never twice at the same time: what falls into a long run is left out."""
        while True:
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            await self._sleep((next(CronSim(route.cron, now)) - now).total_seconds())
            await self._call(route)

    async def _call(self, route: Route) -> None:
        url = f"{self._routes_url.replace('{name}', route.name.replace('_', '-'))}/internal{route.path}"
        request = OutgoingRequest("POST", url, [self._sign(url, b"")], b"", route.timeout_s)
        try:
            async with self._upstream.send(request) as response:
                status, answer = response.status, await response.read()
        except UpstreamError as error:
            log.error("schedule failed", extra={"fields": {"schedule": route.name, "reason": str(error)}})
            return
        level = logging.INFO if status < 300 else logging.ERROR
        fields = {"schedule": route.name, "status": status, "answer": answer[:500].decode(errors="replace")}
        log.log(level, "schedule called", extra={"fields": fields})


def main() -> None:
    settings = Settings.load()
    telemetry.start_logging("scheduler", settings.log_level)
    ports = Ports(settings)
    calls = SystemCalls(CallerSigningKey(ports.secrets), ports.clock)
    schedules = [route for route in manifest.load() if route.kind == "schedule"]
    with suppress(KeyboardInterrupt):
        asyncio.run(Scheduler(settings.routes_url, ports.upstream, ports.clock, calls.header).run(schedules))


if __name__ == "__main__":
    main()
