"""Counts what each tenant used, by model and route, and keeps a row of each request to a model.

Rows are written to the store in the background, at least twice a second: a crash loses no more than that of them, and
nothing of any budget. While the store cannot be reached they wait in memory, the oldest give way in the end.
"""

import asyncio
import logging
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from functions.gateway.exchange import JOB, Exchange
from functions.gateway.leaving import when_leaving
from functions.gateway.stage import Stage
from shared import telemetry
from shared.core.errors import Unavailable
from shared.core.usage import UsageRow
from shared.money.usage import MOST_ROWS, UsageRecords
from shared.ports.clock import Clock
from shared.web.asgi import CLIENT_CLOSED_REQUEST

PAUSE_S = 0.4
MOST_WAITING = 20_000

log = logging.getLogger("omni.gateway")


@dataclass(frozen=True, slots=True)
class Batch:
    key: str
    rows: Sequence[UsageRow]


class TrackUsage(Stage):
    def __init__(self, records: UsageRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._rows: deque[UsageRow] = deque(maxlen=MOST_WAITING)
        self._writer: asyncio.Task[None] | None = None
        self._batch: Batch | None = None
        """Which is being written."""
        self._is_failing = False
        self._knows_its_end = False
        self._writing = threading.Lock()

    def leave(self, exchange: Exchange) -> None:
        if caller := exchange.caller:
            telemetry.TENANT_REQUESTS.labels(caller.tenant, exchange.model, exchange.route_name).inc()
            if exchange.tokens_in or exchange.tokens_out:
                telemetry.count_tokens(caller.tenant, exchange.model, exchange.tokens_in, exchange.tokens_out)
            if exchange.model and exchange.answered_from != JOB:
                self._keep(self._row(exchange, caller.tenant, caller.key_id))

    def _row(self, exchange: Exchange, tenant: str, key_id: str) -> UsageRow:
        return UsageRow(
            self._clock.now(),
            exchange.request_id,
            tenant,
            key_id,
            exchange.route_name,
            exchange.model,
            exchange.status or CLIENT_CLOSED_REQUEST,
            exchange.tokens_in,
            exchange.tokens_cached,
            exchange.tokens_out,
            exchange.cost,
            round((self._clock.monotonic() - exchange.started) * 1000, 2),
            exchange.answered_from,
        )

    def _keep(self, row: UsageRow) -> None:
        if len(self._rows) == MOST_WAITING:
            telemetry.USAGE_ROWS_LOST.inc()
        self._rows.append(row)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_on())

    async def _write_on(self) -> None:
        if not self._knows_its_end:
            self._knows_its_end = True
            when_leaving(self._leave, self.write_rest)
        while self._rows or self._batch:
            await asyncio.sleep(PAUSE_S)
            await asyncio.to_thread(self.write_rest)

    def _leave(self) -> None:
        self._last = asyncio.get_running_loop().create_task(asyncio.to_thread(self.write_rest))

    def write_rest(self) -> None:
        """Writes what waits. What cannot be written goes on waiting, under the same name: it may have been written."""
        with self._writing:
            self._write_rest()

    def _write_rest(self) -> None:
        while self._batch or self._rows:
            self._batch = self._batch or Batch(secrets.token_hex(12), self._taken())
            try:
                self._records.add(self._batch.key, self._batch.rows)
            except Unavailable as error:
                if not self._is_failing:
                    log.warning("usage cannot be written; it waits", extra={"fields": {"detail": error.detail}})
                self._is_failing = True
                return
            self._batch, self._is_failing = None, False

    def _taken(self) -> list[UsageRow]:
        return [self._rows.popleft() for _ in range(min(MOST_ROWS, len(self._rows)))]
