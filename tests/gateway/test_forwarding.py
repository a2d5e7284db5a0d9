"""Upstreams of any make, over real connections: who is asked, with which key, and that nobody is asked for nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.adapters.httptools_upstream import HttptoolsUpstream
from tests.gateway.conftest import CHAT, SECRETS, World, problem
from tests.machine import free_port
from tests.security import gateway
from tests.security.gateway import Behind, completion, serving

REQUESTS = 400
CATALOGUE = """
[[model]]
id = "shared"
upstreams = [
  {{ url = "{first}/v1", model = "big-1", api_key_env = "FIRST_KEY", weight = 3 }},
  {{ url = "{second}/v1", api_key_env = "SECOND_KEY" }},
]

[[model]]
id = "ranked"
upstreams = [
  {{ url = "{second}/v1", priority = 1 }},
  {{ url = "{first}/v1", api_key_env = "FIRST_KEY" }},
]

[[model]]
id = "down"
upstreams = [{{ url = "http://127.0.0.1:{nobody}/v1" }}, {{ url = "{second}/v1", priority = 1 }}]
"""


class Two:
    """Two servers of models, and a gateway in front."""

    def __init__(self, first: Behind, second: Behind, tmp_path: Path) -> None:
        self.first, self.second = first, second
        limits = CATALOGUE.format(first=first.url, second=second.url, nobody=free_port())
        secrets = EnvironmentSecrets(SECRETS | {"SECOND_KEY": "sk-second"})
        self.upstream = HttptoolsUpstream(idle_s=5)
        self.world = World(tmp_path, self.upstream, limits=limits, secrets=secrets)

    def chat(self, count: int, key: str = "master-key-root-1", **fields: object) -> list[httpx.Response]:
        """One after the other, on one event loop, as a process has it."""

        async def all_of_them() -> list[httpx.Response]:
            asked = {"messages": [{"role": "user", "content": "Hi"}], **fields}
            headers = {"authorization": f"Bearer {key}"}
            answers = [
                await self.world.send("POST", "/v1/chat/completions", json=asked, headers=headers) for _ in range(count)
            ]
            await self.upstream.close()
            return answers

        return asyncio.run(all_of_them())


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with ExitStack() as ending:
        yield Two(ending.enter_context(serving(Behind())), ending.enter_context(serving(Behind())), tmp_path)


def test_each_server_gets_its_own_key_and_never_the_callers(two: Two) -> None:
    assert {answer.status_code for answer in two.chat(40, model="shared")} == {200}
    for server, key in ((two.first, b"sk-first"), (two.second, b"sk-second")):
        assert server.requests
        for request in server.requests:
            head = request.partition(b"\r\n\r\n")[0].lower()
            assert b"authorization: bearer " + key in head
            assert b"master-key" not in head
            assert b"x-omni" not in head


def test_each_server_is_asked_for_the_model_by_the_name_it_has_there(two: Two) -> None:
    two.chat(40, model="shared")
    assert all(b'"model":"big-1"' in request for request in two.first.requests)
    assert all(b'"shared"' in request for request in two.second.requests)


def test_weights_share_the_requests(two: Two) -> None:
    two.chat(REQUESTS, model="shared")
    assert REQUESTS * 0.6 < len(two.first.requests) < REQUESTS * 0.9


def test_the_next_in_rank_is_asked_only_when_the_first_cannot_answer(two: Two) -> None:
    two.chat(5, model="ranked")
    assert (len(two.first.requests), len(two.second.requests)) == (5, 0)
    two.first.answer = lambda _: b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
    assert {answer.status_code for answer in two.chat(3, model="ranked")} == {200}
    assert len(two.second.requests) == 3


def test_a_server_that_is_not_there_costs_a_request_nothing_but_the_attempt(two: Two) -> None:
    assert Counter(answer.status_code for answer in two.chat(20, model="down")) == {200: 20}
    assert len(two.second.requests) == 20


def test_nobody_is_polled(tmp_path: Path) -> None:
    """LiteLLM #42657: a poll of `/v1/models` kept GPUs awake, and billed, that nobody used."""
    with gateway.running(tmp_path) as running:
        assert running.behind.requests == []
        running.behind.answer = lambda _: b""
        headers = {"x-api-key": gateway.KEY}
        for _ in range(6):
            httpx.post(f"{running.url}/v1/chat/completions", json=CHAT, headers=headers)
        asked = len(running.behind.requests)
        for path in ("/ready", "/metrics", "/api/health"):
            assert httpx.get(running.url + path).is_success
        time.sleep(3)  # longer than the breaker's first pause
        assert len(running.behind.requests) == asked > 0


def test_an_upstream_that_recovers_is_found_by_one_request(two: Two) -> None:
    two.first.answer = lambda _: b""
    for seed in range(5):
        key = ("master-key-root-1", "prod-key-acme-1", "free-key-ann-1")[seed % 3]
        assert problem(two.chat(1, key, model="ranked", seed=seed)[0])[0] == 502
    asked = len(two.first.requests)
    assert {answer.status_code for answer in two.chat(3, model="ranked")} == {200}
    assert len(two.first.requests) == asked
    two.first.answer = completion
    two.world.clock.advance(1.1)
    assert {answer.status_code for answer in two.chat(3, model="ranked")} == {200}
    assert len(two.first.requests) == asked + 3
