"""The local Cloud Tasks: `python -m local.dispatcher` delivers the embedded queue's tasks over HTTP.

At least once, in no order, retried with backoff until answered with 2xx, with Cloud Tasks' headers. What is in flight
is known in memory only: after a kill, every task that was not seen answered is delivered again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from local.system_calls import SystemCalls
from shared import telemetry
from shared.core.errors import Unavailable
from shared.core.queues import CPU, GPU_HI, GPU_LO, WEBHOOK, job_deliveries
from shared.keys.caller_keys import CallerSigningKey
from shared.ports.queue import Delivery, LocalQueue
from shared.ports.upstream import OutgoingRequest, Upstream, UpstreamError
from shared.settings import Settings
from shared.wiring import Ports

POLL_S = 0.01
FORGET_EACH_S = 600.0
DISPATCH_DEADLINE_S = 1800.0
CPU_AT_ONCE, WEBHOOKS_AT_ONCE = 4, 16
KEPT_FOR_LATER_QUEUES = 4
"""One delivery in so many is a later queue's own, whatever the first one has waiting."""

Sign = Callable[[str, bytes], tuple[str, str]]

log = logging.getLogger("omni.dispatcher")


@contextmanager
def _passing_over_outages() -> Iterator[None]:
    """While the queue cannot be read, what is in flight goes on; the next look may succeed."""
    try:
        yield
    except Unavailable as error:
        log.warning("the queue cannot be read", extra={"fields": {"detail": error.detail}})


@dataclass(frozen=True, slots=True)
class Pool:
    """Queues whose deliveries use the same thing, the first of them before the others."""

    queues: tuple[str, ...]
    most: int
    """Deliveries at the same time."""

    def turns(self) -> Iterator[tuple[str, int]]:
        """Which queue may start deliveries next, and how many of its own may then run."""
        for queue in self.queues[1:]:
            yield queue, min(self.most - 1, max(1, self.most // KEPT_FOR_LATER_QUEUES))
        for queue in self.queues:
            yield queue, self.most


class Dispatcher:
    """Calls the queue's file from the event loop itself: it is on this machine, and nothing else runs here."""

    def __init__(self, queue: LocalQueue, upstream: Upstream, sign: Sign, pools: Sequence[Pool]) -> None:
        """`sign` makes the header by which the platform is let in, for a URL and a body."""
        self._queue = queue
        self._upstream = upstream
        self._sign = sign
        self._pools = pools
        self._in_flight: dict[str, set[str]] = {queue: set() for pool in pools for queue in pool.queues}

    async def run(self) -> None:
        """Never ends, unless by an error nobody expected; a new dispatcher then takes over where this one was."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forget_old_names())
            while True:
                for pool in self._pools:
                    self._start_due(pool, group)
                await asyncio.sleep(POLL_S)

    async def _forget_old_names(self) -> None:
        while True:
            with _passing_over_outages():
                self._queue.forget_old_names()
            await asyncio.sleep(FORGET_EACH_S)

    def _start_due(self, pool: Pool, group: asyncio.TaskGroup) -> None:
        """Starts what there is room for. The tasks in flight are the longest due and come first in the answer."""
        free = pool.most - sum(len(self._in_flight[queue]) for queue in pool.queues)
        if free <= 0:
            return
        due = {queue: self._due(queue, free) for queue in pool.queues}
        for queue, most in pool.turns():
            flying = self._in_flight[queue]
            while free and due[queue] and len(flying) < most:
                delivery, free = due[queue].pop(0), free - 1
                flying.add(delivery.task.name)
                group.create_task(self._deliver(delivery, pool, group))

    def _due(self, queue: str, most: int) -> list[Delivery]:
        """Those that are not being delivered yet."""
        flying = self._in_flight[queue]
        due: list[Delivery] = []
        with _passing_over_outages():
            due = self._queue.due(queue, len(flying) + most)
        return [each for each in due if each.task.name not in flying][:most]

    async def _deliver(self, delivery: Delivery, pool: Pool, group: asyncio.TaskGroup) -> None:
        try:
            status = await self._post(delivery)
            if 200 <= status < 300:
                self._queue.done(delivery)
            else:
                self._queue.retry(delivery, status)
        except Unavailable as error:
            log.warning("an answer was not noted", extra={"fields": {"detail": error.detail}})
        finally:
            self._in_flight[delivery.task.queue].discard(delivery.task.name)
        self._start_due(pool, group)

    async def _post(self, delivery: Delivery) -> int:
        """The answer's status; 0 when there was none."""
        task, reason = delivery.task, ""
        request = OutgoingRequest("POST", task.url, self._headers(delivery), task.body, DISPATCH_DEADLINE_S)
        status = 0
        try:
            async with self._upstream.send(request) as response:
                status = response.status
                await response.read()
        except UpstreamError as error:
            reason = str(error)
        if not 200 <= status < 300:
            fields = {"task": task.name, "status": status, "retries": delivery.retries, "reason": reason}
            log.warning("delivery failed", extra={"fields": fields})
        return status

    def _headers(self, delivery: Delivery) -> list[tuple[str, str]]:
        task = delivery.task
        headers = [
            ("content-type", "application/json"),
            ("x-cloudtasks-queuename", task.queue),
            ("x-cloudtasks-taskname", task.name),
            ("x-cloudtasks-taskretrycount", str(delivery.retries)),
            ("x-cloudtasks-taskexecutioncount", str(delivery.executions)),
            ("x-cloudtasks-tasketa", f"{task.not_before:.6f}"),
            ("x-request-id", f"task-{task.name}-{delivery.retries}"[:128]),
            self._sign(task.url, task.body),
        ]
        if delivery.previous_status:
            headers.append(("x-cloudtasks-taskpreviousresponse", str(delivery.previous_status)))
        return headers


def main() -> None:
    settings = Settings.load()
    telemetry.start_logging("dispatcher", settings.log_level)
    ports = Ports(settings)
    calls = SystemCalls(CallerSigningKey(ports.secrets), ports.clock)
    jobs = job_deliveries(settings.worker_instances, settings.worker_slots)
    pools = [Pool((GPU_HI, GPU_LO), jobs), Pool((CPU,), CPU_AT_ONCE), Pool((WEBHOOK,), WEBHOOKS_AT_ONCE)]

    with suppress(KeyboardInterrupt):
        asyncio.run(Dispatcher(ports.local_queue, ports.upstream, calls.header, pools).run())


if __name__ == "__main__":
    main()
