"""A job as server-sent events: what is new, once, until the end; and few reads for many watchers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.core.jobs import Progress, Succeeded
from tests.gateway.calls import until
from tests.gateway.conftest import problem
from tests.gateway.jobs import JobWorld

KEY = {"authorization": "Bearer prod-key-acme-1"}


@pytest.fixture
def world(tmp_path: Path) -> JobWorld:
    return JobWorld(tmp_path, keep_alive_s=0.2)


def events(text: str) -> list[tuple[str, str, Any]]:
    """Id, name and data of each event; comments are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def names(text: str) -> list[str]:
    return [name for _, name, _ in events(text)]


async def watched(world: JobWorld, job_id: str, last_event_id: str = "") -> httpx.Response:
    headers: Any = {name: value.encode("latin-1") for name, value in KEY.items()}
    if last_event_id:
        headers["last-event-id"] = last_event_id.encode("latin-1")
    return await world.send("GET", f"/api/v1/jobs/{job_id}/events", headers=headers)


def while_watched(world: JobWorld, job_id: str, then: Callable[[], Awaitable[None]], watchers: int = 1) -> list[str]:
    """What each watcher was told until the job's end, which `then` brings about."""

    async def run() -> list[str]:
        asking = [asyncio.create_task(watched(world, job_id)) for _ in range(watchers)]
        await then()
        return [(await each).text for each in asking]

    return asyncio.run(run())


async def looks(world: JobWorld, count: int) -> None:
    """Waits until the store has been looked at so often, or more."""
    before = world.counting.reads
    await until(lambda: world.counting.reads >= before + 2 * count, f"{count} looks")


def ends_after(world: JobWorld, job: Any, seconds: float) -> Callable[[], Awaitable[None]]:
    async def then() -> None:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(world.end, job, Succeeded({"answer": 42}))

    return then


def test_a_whole_life(world: JobWorld) -> None:
    job = world.create()

    async def then() -> None:
        await looks(world, 3)
        run = await asyncio.to_thread(world.jobs.claim, job.id, 1, "w")
        assert run is not None
        await asyncio.to_thread(world.jobs.heartbeat, run, Progress(0.5, "half"))
        await looks(world, 6)  # longer than the wait for a comment
        await asyncio.to_thread(world.jobs.finish, run, Succeeded({"answer": 42}))

    (text,) = while_watched(world, job.id, then)
    told = events(text)
    assert [name for _, name, _ in told] == ["state", "state", "progress", "state", "result"]
    assert [data["state"] for _, name, data in told if name == "state"] == ["queued", "running", "succeeded"]
    assert told[2][2] == {"fraction": 0.5, "message": "half"}
    assert told[-1][2]["result"] == {"answer": 42}
    assert ": keep-alive" in text
    assert text.startswith("retry: 1000")


def test_the_place_in_the_queue_counts_the_tenants_older_jobs(world: JobWorld) -> None:
    made = []
    for tenant in ("acme", "other", "acme", "acme"):
        made.append(world.create(tenant))
        world.store_clock.advance(1)

    async def then() -> None:
        await looks(world, 1)
        await asyncio.to_thread(world.jobs.cancel, "acme", made[-1].id)

    (text,) = while_watched(world, made[-1].id, then)
    assert [data["queue_position"] for _, name, data in events(text) if name == "state"] == [3, None]


def test_who_comes_back_is_told_what_is_new_and_nothing_else(world: JobWorld) -> None:
    job = world.create()

    async def then() -> None:
        await looks(world, 1)
        await asyncio.to_thread(world.end, job, Succeeded({"answer": 42}))

    (text,) = while_watched(world, job.id, then)
    told = events(text)
    from_start = asyncio.run(watched(world, job.id, told[0][0]))
    assert names(from_start.text) == ["state", "result"]
    after_state = asyncio.run(watched(world, job.id, told[-2][0]))
    assert names(after_state.text) == ["result"]
    after_all = asyncio.run(watched(world, job.id, told[-1][0]))
    assert (after_all.status_code, after_all.content) == (204, b"")


@pytest.mark.parametrize("last_event_id", ["x", "a.b.c", "..", ".....", "\u00ff" * 50])
def test_an_id_that_is_none_of_ours_has_seen_nothing(world: JobWorld, last_event_id: str) -> None:
    job = world.create()
    world.end(job, Succeeded({}))
    response = asyncio.run(watched(world, job.id, last_event_id))
    assert names(response.text) == ["state", "result"]


def test_404_for_another_tenants_job_and_for_none(world: JobWorld) -> None:
    other = world.create(tenant="other")
    for job_id in (other.id, "job_none", "x" * 300):
        assert problem(asyncio.run(watched(world, job_id)))[:2] == (404, "job_not_found")


def test_many_watchers_of_a_job_cost_the_reads_of_one(world: JobWorld) -> None:
    def reads(watchers: int) -> int:
        job = world.create()
        before = world.counting.reads
        told = while_watched(world, job.id, ends_after(world, job, 1.0), watchers)
        assert all(names(text)[-1] == "result" for text in told)
        return world.counting.reads - before

    alone = reads(1)
    assert reads(50) <= 2 * alone


def test_a_store_that_is_away_for_a_moment_is_waited_for(world: JobWorld) -> None:
    job = world.create()

    async def then() -> None:
        await asyncio.sleep(0.2)
        world.counting.is_away = True
        await asyncio.sleep(0.4)
        world.counting.is_away = False
        await asyncio.to_thread(world.end, job, Succeeded({}))

    (text,) = while_watched(world, job.id, then)
    assert names(text)[-1] == "result"
