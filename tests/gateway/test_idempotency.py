"""`Idempotency-Key`: the work is done once, and whoever asks again gets the same answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.gateway.exchange import Exchange
from functions.gateway.recording import MOST_BYTES
from functions.gateway.replay import Replay
from functions.gateway.request_pass import RequestPass, Stages
from functions.gateway.stage import Stage, Wait
from shared.adapters.file_blobs import FileBlobs
from shared.adapters.sqlite_store import SqliteStore
from shared.core.errors import Conflict, Unavailable
from shared.core.keys import SYSTEM
from shared.idempotency import KEPT_S, LEASE_S, Claim, IdempotencyKeys, KeyedRequest
from shared.ports.blobs import INLINE_BYTES
from shared.ports.upstream import BrokenOff, ConnectFailed, TimedOut, UpstreamError
from shared.web.reply import Reply
from tests.fakes import FakeClock, FakeResponse
from tests.gateway.answers import DONE, STREAM, WHOLE, sse
from tests.gateway.calls import Call, GatedUpstream, bare_exchange, until
from tests.gateway.conftest import CHAT, World, problem
from tests.stored import documents

KEY = {"idempotency-key": "order-42"}
CHAT_PATH = "/v1/chat/completions"


class Lost(SqliteStore):
    """A store that can go away."""

    gone = False

    def transact(self, work: Any) -> Any:
        if self.gone:
            raise Unavailable("The store is not available.")
        return super().transact(work)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Lost:
    return Lost(tmp_path / "omni.db", clock)


@pytest.fixture
def world(tmp_path: Path, store: Lost) -> World:
    world = World(tmp_path, store=store)
    world.answers(lambda _: FakeResponse.json(WHOLE))
    return world


def chat(world: World, headers: dict[str, str] = KEY, key: str = "prod-key-acme-1", **fields: Any) -> httpx.Response:
    return world.request("POST", CHAT_PATH, key, json=CHAT | fields, headers=headers)


def asked(world: World) -> int:
    return len(world.upstream.requests)


def replayed(response: httpx.Response) -> bool:
    return "idempotency-replayed" in response.headers


def test_the_same_request_again_gets_the_same_answer_and_the_model_runs_once(world: World) -> None:
    first, second = chat(world), chat(world)
    assert (first.status_code, first.json(), replayed(first)) == (200, WHOLE, False)
    assert (second.status_code, second.content, replayed(second)) == (200, first.content, True)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert asked(world) == 1


def test_a_replay_tells_of_its_own_request_and_its_own_limits(world: World) -> None:
    first, second = chat(world), chat(world)
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert second.headers["x-ratelimit-remaining-requests"] == "998"


def test_a_stream_is_replayed_as_a_stream(world: World) -> None:
    world.answers(lambda _: FakeResponse.stream(*STREAM, DONE))
    first, second = chat(world, stream=True), chat(world, stream=True)
    assert second.content == first.content == b"".join([*STREAM, DONE])
    assert second.headers["content-type"] == "text/event-stream"
    assert (replayed(second), asked(world)) == (True, 1)


def test_a_function_is_called_once_and_its_location_is_told_again(world: World) -> None:
    made = FakeResponse(202, [b'{"id":"j1"}'], [("content-type", "application/json"), ("location", "/api/v1/jobs/j1")])
    world.answers(lambda _: made)
    answers = [world.request("POST", "/api/v1/jobs", json={"task": "x"}, headers=KEY) for _ in range(2)]
    assert [(each.status_code, each.json(), each.headers["location"]) for each in answers] == [
        (202, {"id": "j1"}, "/api/v1/jobs/j1")
    ] * 2
    assert asked(world) == 1


def test_a_key_is_made_once_and_its_text_is_kept_nowhere(world: World, tmp_path: Path) -> None:
    world.answers(lambda _: FakeResponse.json({"id": "k1", "key": "omni_very_secret"}, 201))
    first, second = (
        world.request("POST", "/api/v1/keys", "master-key-root-1", json={"name": "n"}, headers=KEY) for _ in range(2)
    )
    assert (first.status_code, first.json()["key"]) == (201, "omni_very_secret")
    assert problem(second) == (409, "answer_not_kept", None)
    assert asked(world) == 1
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"very_secret" in content or b"dmVyeV9zZWNyZXQ" in content for content in files)


@pytest.mark.parametrize(
    "key",
    [b"", b" ", b"a b", b"a\tb", b"x" * 256, b"\xc3\xa9", b"a\x00", b"a\x7f", b"a\r\nx-omni-caller: root", b"a, b"],
)
def test_a_malformed_key_is_refused_before_anything_happens(world: World, key: bytes) -> None:
    response = world.request("POST", CHAT_PATH, json=CHAT, headers={"idempotency-key": key})
    assert problem(response) == (400, "invalid_idempotency_key", "Idempotency-Key")
    assert asked(world) == 0


@pytest.mark.parametrize("key", ["x" * 255, "".join(map(chr, range(0x21, 0x7F))), "'; DROP TABLE idempotency; --"[:2]])
def test_any_visible_ascii_is_good_for_a_key(world: World, key: str) -> None:
    assert not replayed(chat(world, {"idempotency-key": key}))
    assert replayed(chat(world, {"idempotency-key": key}))


def test_spaces_around_a_key_are_not_part_of_it(world: World) -> None:
    assert not replayed(chat(world))
    assert replayed(chat(world, {"idempotency-key": "order-42 \t"}))


def test_the_key_with_another_body_is_refused(world: World) -> None:
    chat(world)
    response = chat(world, temperature=0.5)
    assert problem(response) == (422, "idempotency_key_reused", None)
    assert asked(world) == 1


@pytest.mark.parametrize("path", ["/v1/completions", CHAT_PATH + "?a=1"])
def test_the_key_at_another_address_is_refused(world: World, path: str) -> None:
    chat(world)
    assert problem(world.request("POST", path, json=CHAT, headers=KEY))[0] == 422


def test_a_body_that_differs_in_white_space_and_order_is_the_same_body(world: World) -> None:
    chat(world)
    body = json.dumps(dict(reversed(CHAT.items())), indent=3)
    assert replayed(world.request("POST", CHAT_PATH, content=body, headers=KEY))


def test_a_body_that_is_no_json_is_compared_byte_by_byte(world: World) -> None:
    bodies = [b"\xff\xfe", b"\xff\xfe", b"\xff\xfe "]
    answers = [world.request("POST", "/api/v1/jobs", content=body, headers=KEY) for body in bodies]
    assert [each.status_code for each in answers] == [200, 200, 422]


def test_tenants_have_their_keys_apart_and_a_tenants_keys_share_them(world: World) -> None:
    chat(world)
    assert not replayed(chat(world, key="master-key-root-1"))
    assert replayed(chat(world, key="prod-key-acme-2"))
    assert asked(world) == 2


def test_without_the_header_every_request_is_one_of_its_own_and_the_store_is_left_alone(
    world: World, store: Lost
) -> None:
    store.gone = True
    assert [chat(world, {}).status_code for _ in range(2)] == [200, 200]
    assert asked(world) == 2


def test_only_a_post_takes_a_key(world: World) -> None:
    for _ in range(2):
        assert not replayed(world.request("GET", "/api/v1/jobs", headers=KEY))
    assert asked(world) == 2


def test_while_the_first_runs_the_others_are_told_to_come_again(tmp_path: Path, store: Lost) -> None:
    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse.json(WHOLE))
        world = World(tmp_path, upstream, store)
        first = Call(world, headers=KEY)
        await until(lambda: upstream.requests, "the model is asked")
        early = await Call(world, headers=KEY).done()
        other = await Call(world, {"seed": 1}, headers=KEY).done()
        upstream.open()
        await first.done()
        late = await Call(world, headers=KEY).done()
        assert (early.status, early.headers["retry-after"]) == (409, "1")
        assert json.loads(early.body)["error"]["code"] == "idempotency_key_in_use"
        assert other.status == 422
        assert (late.status, late.headers["idempotency-replayed"], late.body) == (200, "true", first.body)
        assert len(upstream.requests) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (ConnectFailed("refused"), 503),
        (FakeResponse.json({}, 503), 503),
        (FakeResponse.json({}, 429), 429),
        (FakeResponse.json({"error": "bad temperature"}, 400), 400),
    ],
    ids=["unreachable", "503", "429", "400"],
)
def test_a_failure_before_the_model_ran_is_not_kept(
    world: World, answer: FakeResponse | UpstreamError, status: int
) -> None:
    world.answers(lambda _: answer)
    assert chat(world).status_code == status
    world.answers(lambda _: FakeResponse.json(WHOLE))
    response = chat(world)
    assert (response.status_code, replayed(response)) == (200, False)


def test_a_refusal_of_the_gateway_is_not_kept(world: World) -> None:
    assert [chat(world, model="nobody").status_code for _ in range(2)] == [404, 404]
    assert [chat(world, stream="yes").status_code for _ in range(2)] == [400, 400]
    assert chat(world).status_code == 200


def test_an_outside_proxys_502_is_not_kept(world: World) -> None:
    world.answers(lambda _: FakeResponse.json({}, 502))
    assert chat(world, model="elsewhere").status_code == 502
    world.clock.advance(61)
    world.answers(lambda _: FakeResponse.json(WHOLE))
    response = chat(world, model="elsewhere")
    assert (response.status_code, replayed(response)) == (200, False)


def test_a_limit_that_is_reached_is_not_kept(world: World) -> None:
    for _ in range(10):
        chat(world, {}, key="free-key-ann-1")
    assert chat(world, key="free-key-ann-1").status_code == 429
    world.clock.advance(61)
    assert chat(world, key="free-key-ann-1").status_code == 200


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (TimedOut("600 s"), 504),
        (BrokenOff("reset"), 502),
        (FakeResponse.json({}, 500), 502),
        (FakeResponse.json({}, 502), 502),
    ],
    ids=["silent", "broken off", "500", "a worker's 502"],
)
def test_a_failure_after_which_the_model_may_have_run_is_kept(
    world: World, failure: FakeResponse | UpstreamError, status: int
) -> None:
    world.answers(lambda _: failure)
    first, second = chat(world), chat(world)
    assert (first.status_code, second.status_code, replayed(second)) == (status, status, True)
    assert second.json() == first.json()
    assert asked(world) == 1


@pytest.mark.parametrize(("failure", "status"), [(TimedOut("60 s"), 504), (BrokenOff("reset"), 502)])
def test_a_function_that_may_have_done_its_work_is_not_called_again(
    world: World, failure: UpstreamError, status: int
) -> None:
    world.answers(lambda _: failure)
    answers = [world.request("POST", "/api/v1/jobs", json={}, headers=KEY) for _ in range(2)]
    assert [each.status_code for each in answers] == [status, status]
    assert asked(world) == 1


@pytest.mark.parametrize(
    "parts",
    [
        [*STREAM[:2], BrokenOff("reset")],
        STREAM[:3],
        [*STREAM, sse({"error": {"message": "out of memory"}}), DONE],
        [],
    ],
    ids=["cut", "no end", "an error inside", "empty"],
)
def test_a_stream_that_did_not_end_well_is_not_kept(world: World, parts: list[bytes | UpstreamError]) -> None:
    world.answers(lambda _: FakeResponse.stream(*parts))
    chat(world, stream=True)
    world.answers(lambda _: FakeResponse.stream(*STREAM, DONE))
    response = chat(world, stream=True)
    assert (response.content, replayed(response)) == (b"".join([*STREAM, DONE]), False)


def test_an_answer_is_kept_for_24_hours(world: World, clock: FakeClock) -> None:
    chat(world)
    clock.advance(KEPT_S - 1)
    assert replayed(chat(world))
    clock.advance(1)
    assert not replayed(chat(world))


def test_a_large_answer_is_kept_as_a_blob(world: World, tmp_path: Path) -> None:
    large = WHOLE | {"padding": "x" * INLINE_BYTES}
    world.answers(lambda _: FakeResponse.json(large))
    assert chat(world).json() == chat(world).json() == large
    assert asked(world) == 1
    (blob,) = (tmp_path / "blobs" / "idempotency").glob("*/*")
    blob.unlink()
    assert problem(chat(world)) == (409, "answer_not_kept", None)


def test_an_answer_too_large_to_keep_is_given_once_and_the_work_is_not_done_again(world: World) -> None:
    large = WHOLE | {"padding": "x" * MOST_BYTES}
    world.answers(lambda _: FakeResponse.json(large))
    assert chat(world).json() == large
    assert problem(chat(world)) == (409, "answer_not_kept", None)
    assert asked(world) == 1


def test_a_caller_who_leaves_finds_its_answer_when_it_comes_back(tmp_path: Path, store: Lost) -> None:
    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse.json(WHOLE))
        world = World(tmp_path, upstream, store)
        first = Call(world, headers=KEY)
        await until(lambda: upstream.requests, "the model is asked")
        first.leave()
        await asyncio.sleep(0.4)  # longer than the watch on callers waits
        assert not upstream.left_alone.is_set()
        upstream.open()
        await first.done()
        again = await Call(world, headers=KEY).done()
        assert (again.headers["idempotency-replayed"], json.loads(again.body)) == ("true", WHOLE)

    asyncio.run(run())


def test_a_long_run_keeps_its_claim(world: World, store: Lost, clock: FakeClock, tmp_path: Path) -> None:
    async def run() -> None:
        keys = IdempotencyKeys(store, FileBlobs(tmp_path))
        finish = asyncio.Event()
        stages = Stages([Replay(world.settings, keys, renew_every_s=0.01), Slow(finish)])
        run = RequestPass(stages, posted(KEY), asyncio.get_running_loop()).run()
        assert run
        await until(lambda: lease_left_s(tmp_path, clock), "the key is claimed")
        for _ in range(3):
            clock.advance(LEASE_S * 0.9)
            await until(lambda: lease_left_s(tmp_path, clock) > LEASE_S * 0.9, "the claim is renewed")
        second = posted(KEY)
        conflict = RequestPass(stages, second, asyncio.get_running_loop()).run()
        assert conflict
        await conflict
        assert isinstance(second.error, Conflict)
        finish.set()
        await run

    asyncio.run(run())


def test_the_claim_of_a_run_that_has_died_ends(store: Lost, clock: FakeClock, tmp_path: Path) -> None:
    keys, request = IdempotencyKeys(store, FileBlobs(tmp_path)), KeyedRequest("acme", "k", "f")
    dead = keys.claim(request)
    assert isinstance(dead, Claim)
    clock.advance(LEASE_S - 0.1)
    with pytest.raises(Conflict):
        keys.claim(request)
    clock.advance(0.1)
    assert isinstance(keys.claim(request), Claim)
    keys.finish(dead, Reply(200, b"too late"))
    keys.release(dead)
    assert not keys.renew(dead)
    with pytest.raises(Conflict):
        keys.claim(request)


def test_503_when_the_store_is_away_and_nothing_is_done(world: World, store: Lost) -> None:
    store.gone = True
    assert problem(chat(world)) == (503, "unavailable", None)
    assert asked(world) == 0


def test_the_answer_comes_even_when_the_store_has_gone_meanwhile(
    world: World, store: Lost, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(_: object) -> FakeResponse:
        store.gone = True
        return FakeResponse.json(WHOLE)

    world.answers(answer)
    assert chat(world).json() == WHOLE
    assert "was not kept" in caplog.text


class Slow(Stage):
    """Takes as long as it is told to."""

    def __init__(self, finish: asyncio.Event) -> None:
        self._finish = finish

    def enter(self, exchange: Exchange) -> Wait:
        return Wait(self._finished(exchange))

    async def _finished(self, exchange: Exchange) -> Reply:
        await self._finish.wait()
        return Reply(200, b"{}")


def posted(headers: dict[str, str]) -> Exchange:
    """A request of the system's own, as it comes to the stage."""
    exchange = bare_exchange()
    exchange.headers |= {name.encode(): value.encode() for name, value in headers.items()}
    exchange.caller, exchange.content = SYSTEM, b""
    return exchange


def lease_left_s(folder: Path, clock: FakeClock) -> float:
    """How long the one claim in the store holds; 0 when there is none."""
    found = documents(folder, "idempotency")
    return found[0]["lease_expires_at"] - clock.now() if found else 0.0
