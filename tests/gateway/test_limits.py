"""Limits of keys, tenants and models on one instance: what is admitted, what is refused, and what is told of it."""

import asyncio
import json
from pathlib import Path

import pytest

from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.ports.upstream import BrokenOff, ConnectFailed, UpstreamError
from tests.fakes import FakeResponse
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import CHAT, COMPLETION, SECRETS, World, problem

FREE, ACME, ACME_TOO, MASTER = "free-key-ann-1", "prod-key-acme-1", "prod-key-acme-2", "master-key-root-1"
USED = 8
"""Tokens of COMPLETION."""
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
SHARED_LIMITS = """
[limits.tenants.acme]
requests_per_minute = 3

[limits.models.small]
requests_per_minute = 2
tokens_per_minute = 5000
"""


def refused_by(world: World, key: str = FREE, **fields: object) -> str:
    """Whose limit on what refused the request; empty when it was admitted."""
    response = world.chat(key, **fields)
    assert response.status_code in {200, 429}
    return str(response.headers.get("x-omni-limit", ""))


def tokens_left(world: World) -> int:
    """By a request that uses none."""
    world.answers(lambda _: FakeResponse.json({}, 400))
    return int(world.chat(FREE, max_tokens=0).headers["x-ratelimit-remaining-tokens"])


def input_tokens(**fields: object) -> int:
    return len(json.dumps(CHAT | fields, separators=(",", ":"))) // 4


@pytest.mark.parametrize(
    ("key", "told"), [("free-k-1", "10"), ("basic-k-1", "100"), ("premium-k-1", "1000"), ("master-k-1", None)]
)
def test_each_tier_has_its_requests_a_minute(tmp_path: Path, key: str, told: str | None) -> None:
    world = World(tmp_path, secrets=EnvironmentSecrets(SECRETS | {"API_KEYS": key}))
    assert world.chat(key).headers.get("x-ratelimit-limit-requests") == told


def test_requests_a_day(tmp_path: Path) -> None:
    world = World(tmp_path, tier_limits="free.requests_per_day=12")
    assert [refused_by(world) for _ in range(11)] == [""] * 10 + ["key requests"]
    world.clock.advance(61.2)
    assert [refused_by(world) for _ in range(3)] == ["", "", "key daily-requests"]
    response = world.chat(FREE)
    assert problem(response) == (429, "daily_limit_exceeded", None)
    assert "12 requests per day for this key" in response.json()["error"]["message"]
    assert 86_000 < int(response.headers["retry-after"]) <= 86_600
    world.clock.advance(86_600)
    assert refused_by(world) == ""


def test_tokens_a_minute(tmp_path: Path) -> None:
    """The estimate must fit; what was not used is free for the next request."""
    world = World(tmp_path, tier_limits="free.tokens_per_minute=1000")
    assert refused_by(world, max_tokens=900) == ""
    assert refused_by(world, max_tokens=900) == ""
    response = world.chat(FREE, max_tokens=1000)
    assert problem(response) == (429, "token_limit_exceeded", None)
    assert "1000 tokens per minute for this key" in response.json()["error"]["message"]
    assert refused_by(world, max_tokens=900) == ""
    assert tokens_left(world) == 1000 - 3 * USED


def test_a_request_that_may_use_more_than_the_limit_takes_all_of_it(tmp_path: Path) -> None:
    world = World(tmp_path, tier_limits="free.tokens_per_minute=1000")
    assert refused_by(world, max_tokens=1_000_000) == ""


LARGE = {"prompt_tokens": 100, "completion_tokens": 3000}


def test_more_tokens_than_estimated_count_as_well(tmp_path: Path) -> None:
    world = World(tmp_path, tier_limits="free.tokens_per_minute=1000")
    world.answers(lambda _: FakeResponse.json(COMPLETION | {"usage": LARGE}))
    assert refused_by(world, max_tokens=10) == ""
    assert refused_by(world, max_tokens=10) == "key tokens"
    world.clock.advance(61.2)
    assert refused_by(world, max_tokens=10) == ""


STREAMED = {"max_tokens": 500, "stream": True}
USAGE = b'data: {"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\n'
OUTCOMES: dict[str, tuple[FakeResponse | UpstreamError, int]] = {
    "whole": (FakeResponse.json(COMPLETION), USED),
    "whole, not counted": (FakeResponse.json(COMPLETION | {"usage": None}), input_tokens(**STREAMED) + 1),
    "stream": (FakeResponse.stream(EVENT, USAGE), USED),
    "stream, not counted": (FakeResponse.stream(EVENT, EVENT, EVENT), input_tokens(**STREAMED) + 3),
    "broken stream": (FakeResponse.stream(EVENT, EVENT, BrokenOff("reset")), input_tokens(**STREAMED) + 2),
    "refused": (FakeResponse.json({}, 400), 0),
    "not reached": (ConnectFailed("refused"), 0),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_tokens_are_settled_on_what_was_used(tmp_path: Path, outcome: str) -> None:
    answer, used = OUTCOMES[outcome]
    world = World(tmp_path, tier_limits="free.tokens_per_minute=1000")
    world.answers(lambda _: answer)
    world.chat(FREE, **STREAMED)
    assert 1000 - tokens_left(world) == used


def test_a_caller_who_leaves_is_charged_the_estimate(tmp_path: Path) -> None:
    """What the upstream did until then nobody has counted; leaving must not be a way to pay nothing."""
    upstream = GatedUpstream(lambda _: FakeResponse.json(COMPLETION))
    world = World(tmp_path, upstream, tier_limits="free.tokens_per_minute=1000")

    async def run() -> None:
        call = Call(world, {"max_tokens": 600}, key=FREE)
        await until(lambda: upstream.requests, "the upstream is asked")
        call.leave()
        await call.done()

    asyncio.run(run())
    upstream.gate = asyncio.Semaphore(1000)
    assert refused_by(world, max_tokens=600) == "key tokens"


def test_requests_at_the_same_time(tmp_path: Path) -> None:
    upstream = GatedUpstream(lambda _: FakeResponse.json(COMPLETION))
    world = World(tmp_path, upstream, tier_limits="free.concurrent_requests=2")

    async def run() -> list[Call]:
        under_way = [Call(world, key=FREE) for _ in range(2)]
        await until(lambda: len(upstream.requests) == 2, "two requests are under way")
        refused = await Call(world, key=FREE).done()
        upstream.open()
        return [refused, *[await call.done() for call in under_way]]

    refused, *admitted = asyncio.run(run())
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert json.loads(refused.body)["error"]["code"] == "concurrency_limit_exceeded"
    assert [call.status for call in admitted] == [200, 200]


@pytest.mark.parametrize("way", ["answered", "refused", "broken off", "caller left"])
def test_a_slot_is_free_again_however_its_request_ended(tmp_path: Path, way: str) -> None:
    answers = {
        "answered": FakeResponse.json(COMPLETION),
        "refused": FakeResponse.json({}, 400),
        "broken off": FakeResponse.stream(EVENT, BrokenOff("reset")),
        "caller left": FakeResponse.json(COMPLETION),
    }
    upstream = GatedUpstream(lambda _: answers[way])
    world = World(tmp_path, upstream, tier_limits="free.concurrent_requests=1")

    async def run() -> list[int]:
        statuses = []
        for count in range(1, 4):
            call = Call(world, {"seed": count}, key=FREE)
            await until(lambda count=count: len(upstream.requests) == count, "the upstream is asked")  # type: ignore[misc]
            if way == "caller left":
                call.leave()
            else:
                upstream.open()
            statuses.append((await call.done()).status)
            world.clock.advance(1)
        return statuses

    assert 429 not in asyncio.run(run())


def test_keys_of_a_tenant_share_its_limit(tmp_path: Path) -> None:
    world = World(tmp_path, limits=SHARED_LIMITS)
    asked = [refused_by(world, key, model="elsewhere") for key in (ACME, ACME_TOO, ACME, ACME_TOO)]
    assert asked == ["", "", "", "tenant requests"]
    assert refused_by(world, FREE, model="elsewhere") == ""


def test_all_callers_share_a_models_limit(tmp_path: Path) -> None:
    world = World(tmp_path, limits=SHARED_LIMITS)
    assert [refused_by(world, key) for key in (FREE, MASTER, ACME)] == ["", "", "model requests"]
    assert refused_by(world, FREE, model="elsewhere") == ""
    assert "for the model 'small'" in world.chat(MASTER).json()["error"]["message"]


def test_what_the_model_refuses_counts_for_no_one(tmp_path: Path) -> None:
    world = World(tmp_path, limits=SHARED_LIMITS)
    for _ in range(20):
        world.chat(MASTER)
        world.chat(ACME)
    remaining = world.chat(ACME, model="elsewhere").headers["x-ratelimit-remaining-requests"]
    assert remaining == "1"


def test_a_refusal_says_where_the_caller_stands(world: World) -> None:
    for _ in range(10):
        world.chat(FREE)
    headers = world.chat(FREE).headers
    assert headers["x-omni-limit"] == "key requests"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["ratelimit"].startswith('"requests";r=0;t=6')


def test_the_headers_are_openais_and_the_ietfs(world: World) -> None:
    headers, taken = world.chat(FREE, max_tokens=40).headers, input_tokens(max_tokens=40) + 40
    assert headers["x-ratelimit-limit-requests"] == "10"
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert headers["x-ratelimit-reset-requests"] == "1m1s"
    assert headers["x-ratelimit-limit-tokens"] == "40000"
    assert headers["x-ratelimit-remaining-tokens"] == str(40_000 - taken)
    assert headers["x-ratelimit-reset-tokens"] == "1m1s"
    assert headers["ratelimit-policy"] == (
        '"requests";q=10;w=60, "daily-requests";q=1000;w=86400, "tokens";q=40000;w=60, '
        '"concurrent-requests";q=4;qu="concurrent-requests"'
    )
    assert headers["ratelimit"] == (
        f'"requests";r=9;t=61, "daily-requests";r=999;t=86544, "tokens";r={40_000 - taken};t=61'
    )


def test_of_several_limits_openais_headers_tell_of_the_tightest(tmp_path: Path) -> None:
    headers = World(tmp_path, limits=SHARED_LIMITS).chat(ACME).headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert headers["x-ratelimit-limit-tokens"] == "5000"
    assert '"tenant-requests";q=3;w=60' in headers["ratelimit-policy"]
    assert '"model-tokens";q=5000;w=60' in headers["ratelimit-policy"]


@pytest.mark.parametrize(
    "fields", [{"stream": True}, {"model": "none"}, {"model": 5}], ids=["stream", "unknown model", "bad body"]
)
def test_every_answer_tells_of_the_limits(world: World, fields: dict[str, object]) -> None:
    world.answers(lambda _: FakeResponse.stream(EVENT))
    headers = world.chat(FREE, **fields).headers
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert "x-omni-limits" not in headers


def test_a_key_without_limits_hears_of_none(world: World) -> None:
    assert not [name for name in world.chat(MASTER).headers if "ratelimit" in name]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n", "best_of"])
@pytest.mark.parametrize("number", [1e300, 1.5, 16.0, 0, -3, True, "16", 10**12, [16]])
def test_a_number_that_bounds_no_answer_is_refused_by_name(world: World, field: str, number: object) -> None:
    assert problem(world.chat(FREE, **{field: number}))[::2] == (400, field)
    assert world.chat(FREE, **{field: None}).status_code == 200
