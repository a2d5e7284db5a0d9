"""A row for each request to a model, in the store within a second, whatever happens to the request or the store."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from functions.gateway import track_usage
from functions.gateway.track_usage import TrackUsage
from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.core.errors import Unavailable
from shared.core.usage import UsageRow
from shared.money.usage import UsageRecords
from shared.ports.store import Document, Query
from tests.fakes import FakeClock, FakeResponse, FakeStore
from tests.gateway.calls import Call
from tests.gateway.conftest import CHAT, World
from tests.security import gateway
from tests.waiting import wait_until


def rows_of(document: Document) -> list[UsageRow]:
    return msgspec.json.decode(document["rows"], type=list[UsageRow])


async def written(world: World, count: int) -> list[UsageRow]:
    """The rows in the store, once there are so many."""
    async with asyncio.timeout(30):
        while True:
            found = [
                row
                for (collection, _), document in world.store.documents.items()
                if collection == "usage"
                for row in rows_of(document)
            ]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


def test_every_request_has_its_row(world: World) -> None:
    async def run() -> list[UsageRow]:
        await Call(world, headers={"x-request-id": "first"}).done()
        await Call(world, {"temperature": 0}).done()
        world.answers(lambda _: FakeResponse.json({"error": {"message": "no"}}, 400))
        await Call(world, headers={"x-request-id": "refused"}).done()
        return await written(world, 3)

    first, second, refused = asyncio.run(run())
    assert (first.request_id, first.tenant, first.model, first.status) == ("first", "acme", "small", 200)
    assert (first.tokens_in, first.tokens_out, first.cost) == (3, 5, None)
    assert (refused.request_id, refused.status, refused.cost) == ("refused", 400, 0)
    assert second.request_id != first.request_id


class Records(UsageRecords):
    """Refuses while it is down, or after it has written."""

    def __init__(self) -> None:
        super().__init__(FakeStore(FakeClock()), 30)
        self.is_down = self.loses_answers = False
        self.keys: dict[str, int] = {}

    def add(self, key: str, rows: Any) -> None:
        if self.is_down:
            raise Unavailable
        self.keys[key] = len(rows)
        if self.loses_answers:
            raise Unavailable


def tracker(records: Records, rows: int) -> TrackUsage:
    tracked = TrackUsage(records, FakeClock())
    for number in range(rows):
        tracked._rows.append(UsageRow(0.0, f"r{number}", "t", "k", "r", "m", 200, 1, 0, 1, 0, 1.0))
    return tracked


def test_rows_wait_while_the_store_is_away_and_are_written_once() -> None:
    records = Records()
    tracked = tracker(records, 1200)
    records.is_down = True
    tracked.write_rest()
    assert records.keys == {}
    records.is_down, records.loses_answers = False, True
    tracked.write_rest()
    records.loses_answers = False
    tracked.write_rest()
    tracked.write_rest()
    assert sorted(records.keys.values()) == [200, 500, 500]


def test_the_oldest_rows_give_way_in_the_end(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(track_usage, "MOST_WAITING", 2)
    records = Records()
    records.is_down = True
    tracked = TrackUsage(records, FakeClock())

    async def run() -> None:
        for number in range(5):
            tracked._keep(UsageRow(0.0, f"r{number}", "t", "k", "r", "m", 200, 1, 0, 1, 0, 1.0))

    asyncio.run(run())
    records.is_down = False
    tracked.write_rest()
    assert sum(records.keys.values()) == 2


def test_a_row_is_written_within_a_second_and_outlives_its_process(tmp_path: Path) -> None:
    """How late it may be is the writer's pause: a test that took the time would measure how busy the machine is."""
    assert track_usage.PAUSE_S < 0.5
    store = SqliteStore(tmp_path / "omni.db", SystemClock())

    def ids() -> list[str]:
        page = store.query(Query("usage", (("is_summed", "==", False),)))
        rows = [
            row for document in page.documents for row in msgspec.json.decode(document["rows"], type=list[UsageRow])
        ]
        return [row.request_id for row in rows]

    with gateway.running(tmp_path) as running:
        headers = {"x-api-key": gateway.KEY, "x-request-id": "the-last-one"}
        assert httpx.post(f"{running.url}/v1/chat/completions", json=CHAT, headers=headers).is_success
        wait_until(lambda: ids() == ["the-last-one"], description="the row, though no other request comes")
        for pid in running.processes():
            os.kill(pid, signal.SIGKILL)
    assert ids() == ["the-last-one"]
