"""A request that runs ends when its key would not let it in any more: with an error, charged for what was generated."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from functions.gateway import revocation
from shared.core.keys import Scope
from shared.ports.upstream import OutgoingRequest
from tests.fakes import FakeResponse, FakeSecrets
from tests.gateway.answers import STREAM, answer
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import SECRETS, World
from tests.gateway.jobs import JobWorld
from tests.gateway.test_usage_rows import written
from tests.managed_keys import KeyOffice

Change = Callable[[KeyOffice, str, World], None]
STREAMED = {"stream": True, "temperature": 1}
SHARED = {"stream": True, "temperature": 0}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "LOOK_EACH_S", 0.02)


class Scene:
    """A request under way, whose upstream has given one part and holds the next."""

    def __init__(self, world: World, upstream: GatedUpstream) -> None:
        self.world, self.upstream = world, upstream
        self.office = KeyOffice(world.store)
        self.key_id, self.key = self.office.new()

    async def begin(self, fields: dict[str, Any], **options: Any) -> Call:
        call = Call(self.world, fields, key=self.key, **options)
        await until(lambda: self.upstream.requests, "the upstream is asked")
        self.upstream.gate.release()
        if fields.get("stream"):
            self.upstream.gate.release()  # the first part goes out with the role before it
            await until(lambda: call.parts, "the first part")
        return call

    def change(self, change: Change) -> None:
        change(self.office, self.key_id, self.world)
        self.world.clock.advance(self.world.settings.key_cache_s + 0.1)


@asynccontextmanager
async def scene(folder: Path, answers: Callable[[OutgoingRequest], FakeResponse] = answer) -> AsyncIterator[Scene]:
    upstream = GatedUpstream(answers)
    yield Scene(World(folder, upstream), upstream)


def last_error(call: Call) -> dict[str, Any]:
    """In the last event of a stream, or in a whole answer."""
    last = call.body.decode().strip().split("\n\n")[-1]
    found: dict[str, Any] = json.loads(last.removeprefix("data: "))["error"]
    return found


def revoke(office: KeyOffice, key_id: str, world: World) -> None:
    office.revoke(key_id)


def rotate(office: KeyOffice, key_id: str, world: World) -> None:
    office.rotate(key_id)


def expire(office: KeyOffice, key_id: str, world: World) -> None:
    office.change(key_id, expires_at=world.clock.now() + 1)


def changed(**terms: Any) -> Change:
    def change(office: KeyOffice, key_id: str, world: World) -> None:
        office.change(key_id, **terms)

    return change


CHANGES: dict[str, tuple[Change, str]] = {
    "revoked": (revoke, "invalid_api_key"),
    "rotated": (rotate, "invalid_api_key"),
    "expired": (expire, "invalid_api_key"),
    "without the scope": (changed(scopes=frozenset({Scope.JOBS})), "permission_denied"),
    "without the model": (changed(models=frozenset({"alone"})), "model_not_found"),
    "bound to another address": (changed(ips=("192.0.2.1/32",)), "address_not_allowed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_stream_ends_with_an_error_and_its_upstream_is_left(tmp_path: Path, what: str) -> None:
    change, code = CHANGES[what]

    async def run() -> None:
        async with scene(tmp_path) as running:
            call = await running.begin(STREAMED)
            running.change(change)
            await call.done()
            assert call.status == 200
            assert call.parts[0] == STREAM[0] + STREAM[1]
            assert last_error(call)["code"] == code
            assert running.upstream.left_alone.is_set()

    asyncio.run(run())


def test_a_change_that_would_let_it_in_leaves_it_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as running:
            call = await running.begin(STREAMED)
            running.change(changed(requests_per_minute=1, models=frozenset({"small"}), name="other"))
            await asyncio.sleep(5 * revocation.LOOK_EACH_S)  # nothing tells that it was looked at and left alone
            running.upstream.open()
            await call.done()
            assert call.body.endswith(b"data: [DONE]\n\n")

    asyncio.run(run())


def test_what_was_generated_is_in_the_books(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as running:
            call = await running.begin(STREAMED)
            running.change(revoke)
            await call.done()
            (row,) = await written(running.world, 1)
            assert (row.key_id, row.status) == (running.key_id, 200)
            assert row.tokens_out > 0

    asyncio.run(run())


def test_a_whole_answer_that_is_still_made_becomes_a_401(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse(200, [b"{", b"}"]))
        running = Scene(World(tmp_path, upstream), upstream)
        call = await running.begin({"temperature": 1})
        running.change(revoke)
        await call.done()
        assert (call.status, last_error(call)["code"]) == (401, "invalid_api_key")
        assert upstream.left_alone.is_set()

    asyncio.run(run())


def test_a_file_that_is_sent_breaks_off_with_nothing_added(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse(200, [b"a line\n"] * 3, [("content-type", "text/plain")]))
        running = Scene(World(tmp_path, upstream), upstream)
        call = await running.begin({}, path="/v1/files/file-1/content", method="GET")
        await until(lambda: call.parts, "the first part")
        running.change(revoke)
        await call.done()
        assert call.body == b"a line\n"
        assert upstream.left_alone.is_set()

    asyncio.run(run())


class HalfSent(Call):
    """Sends a part of its body and holds the rest."""

    async def _receive(self) -> dict[str, Any]:
        message = await super()._receive()
        return message | {"more_body": True} if message["type"] == "http.request" else message


@pytest.mark.parametrize("path", ["/v1/files", "/v1/chat/completions"], ids=["an upload", "a body that is held whole"])
def test_a_body_that_is_still_arriving_is_refused(tmp_path: Path, path: str) -> None:
    async def run() -> None:
        headers = [("content-type", "application/json"), ("content-length", "2")]
        async with scene(tmp_path, lambda _: FakeResponse(200, [b"{", b"}"], headers)) as running:
            call = HalfSent(running.world, key=running.key, path=path)
            await until(lambda: call._has_asked or running.upstream.requests, "the body is asked for")
            running.change(revoke)
            await call.done()
            assert (call.status, last_error(call)["code"]) == (401, "invalid_api_key")

    asyncio.run(run())


def test_events_of_a_job_end_with_an_error(tmp_path: Path) -> None:
    async def run() -> None:
        world = JobWorld(tmp_path)
        office = KeyOffice(world.counting)
        key_id, key = office.new()
        job = world.create()
        call = Call(world, key=key, path=f"/api/v1/jobs/{job.id}/events", method="GET")
        await until(lambda: b"event: state" in call.body, "the first event")
        office.revoke(key_id)
        world.clock.advance(world.settings.key_cache_s + 0.1)
        await call.done()
        assert last_error(call)["code"] == "invalid_api_key"

    asyncio.run(run())


def test_a_static_key_that_was_taken_away_ends_its_requests_too(tmp_path: Path) -> None:
    async def run() -> None:
        upstream, secrets = GatedUpstream(answer), FakeSecrets(**SECRETS)
        running = Scene(World(tmp_path, upstream, secrets=secrets), upstream)
        running.key = "prod-key-acme-1"
        call = await running.begin(STREAMED)
        secrets.values["API_KEYS"] = "prod-key-acme-2"
        secrets.grow_old()
        await call.done()
        assert last_error(call)["code"] == "invalid_api_key"

    asyncio.run(run())


async def shared_and_cut_off(running: Scene) -> tuple[Call, Call]:
    """Two callers of one answer, of whom the first has lost its key."""
    first = await running.begin(SHARED)
    second = Call(running.world, SHARED, key=running.office.new()[1])
    await until(lambda: second.parts, "the second caller shares the answer")
    running.change(revoke)
    await until(lambda: b"invalid_api_key" in first.body, "the first caller is cut off")
    return first, second


def test_others_who_wait_for_the_same_answer_get_all_of_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as running:
            first, second = await shared_and_cut_off(running)
            running.upstream.open()
            await second.done()
            await first.done()
            assert second.body.endswith(b"data: [DONE]\n\n")
            assert b"invalid_api_key" not in second.body
            assert len(running.upstream.requests) == 1
            assert first.body.count(b"invalid_api_key") == 1

    asyncio.run(run())


def test_a_shared_answer_ends_when_no_caller_is_left_who_may_have_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as running:
            first, second = await shared_and_cut_off(running)
            second.leave()
            await running.upstream.left_alone.wait()
            await first.done()
            assert first.body.count(b"invalid_api_key") == 1

    asyncio.run(run())
