"""The real pipeline on fake ports, called as a client would call it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.gateway.main import build
from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.ports.cache import Cache
from shared.ports.identity import Identity
from shared.ports.secrets import Secrets
from shared.ports.store import Store
from shared.ports.upstream import OutgoingRequest, Upstream, UpstreamError
from shared.settings import Settings
from shared.wiring import Ports
from tests.caller_keys import SIGNING
from tests.fakes import FakeClock, FakeResponse, FakeStore, FakeUpstream

CATALOGUE = """
[[model]]
id = "small"
upstreams = [{ worker = true }]

[[model]]
id = "elsewhere"
upstreams = [
  { url = "https://first.example/v1", model = "big-1", api_key_env = "FIRST_KEY" },
  { url = "https://second.example/v1", priority = 1 },
]

[[model]]
id = "alone"
upstreams = [{ url = "https://first.example/v1", api_key_env = "FIRST_KEY" }]
"""
SECRETS = {
    "API_KEYS": "prod-key-acme-1,prod-key-acme-2,free-key-ann-1,master-key-root-1",
    **SIGNING,
    "OMNI_KEY_PEPPER": "pepper",
    "FIRST_KEY": "sk-first",
}
CHAT = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
COMPLETION = {
    "id": "c1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5},
}

Answer = Callable[[OutgoingRequest], FakeResponse | UpstreamError]


class World:
    """A gateway, and everything it can see."""

    def __init__(
        self,
        tmp_path: Path,
        upstream: Upstream | None = None,
        store: Store | None = None,
        cache: Cache | None = None,
        limits: str = "",
        secrets: Secrets | None = None,
        identity: Identity | None = None,
        **settings: Any,
    ) -> None:
        catalogue = tmp_path / "models.toml"
        catalogue.write_text(CATALOGUE + limits)
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.upstream = FakeUpstream(lambda _: FakeResponse.json(COMPLETION))
        self.settings = replace(
            Settings(worker_url="http://worker", routes_url="http://routes"),
            **{"models_file": catalogue, "state_dir": tmp_path} | settings,
        )
        ports = Ports(self.settings)
        ports.clock, ports.store, ports.upstream = self.clock, store or self.store, upstream or self.upstream
        if cache:
            ports.cache = cache
        ports.secrets = secrets or EnvironmentSecrets(SECRETS)
        ports.identity = identity
        self.gateway = build(self.settings, ports)

    def answers(self, answer: Answer) -> None:
        self.upstream.answer = answer

    def request(self, method: str, path: str, key: str | None = "prod-key-acme-1", **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        headers |= options.pop("headers", {})
        return asyncio.run(self.send(method, path, headers=headers, **options))

    def chat(self, key: str | None = "prod-key-acme-1", **fields: Any) -> httpx.Response:
        return self.request("POST", "/v1/chat/completions", key, json=CHAT | fields)

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.gateway)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, **options)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def problem(response: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and param of an answer, which must be in the one error shape and carry its request id."""
    answer = response.json()
    assert set(answer) == {"error", "request_id"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["message"]
    assert answer["request_id"] == response.headers["x-request-id"]
    return response.status_code, answer["error"]["code"], answer["error"]["param"]
