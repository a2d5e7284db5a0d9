"""The worker's application on fake ports and, if any, a fake engine; called as a client would call it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from jobs.ml_worker.engines.engine import Engine, Running
from jobs.ml_worker.main import build
from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.ports.upstream import OutgoingRequest, UpstreamError
from shared.settings import Settings
from shared.wiring import Ports
from tests.caller_keys import SIGNING
from tests.fakes import FakeClock, FakeResponse, FakeUpstream
from tests.google_identity import ACCOUNT

KEY = "prod-key-acme-1"
SECRETS = {"API_KEYS": f"{KEY},free-key-ann-1", "OMNI_KEY_PEPPER": "pepper", **SIGNING}
MODEL = "big"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}

Answer = Callable[[OutgoingRequest], FakeResponse | UpstreamError]


class FakeEngine:
    """Starts at once, unless told to fail."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.failure: Exception | None = None
        self.starts = 0

    async def start(self) -> Running:
        self.starts += 1
        if self.failure:
            raise self.failure
        return self.running

    async def ended(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def stop(self) -> None:
        """Nothing runs."""


class Application:
    """A worker, and everything it can see."""

    def __init__(self, state_dir: Path, engine: Engine | None = None, **settings: Any) -> None:
        self.clock = FakeClock()
        self.upstream = FakeUpstream(lambda _: FakeResponse.json({}))
        model = MODEL if engine else "none"
        self.settings = Settings(state_dir=state_dir, worker_model=model, system_accounts=ACCOUNT, **settings)
        self._engine = engine
        self._ports = ports = Ports(self.settings)
        ports.clock, ports.upstream = self.clock, self.upstream
        ports.secrets = EnvironmentSecrets(SECRETS)

    def answers(self, answer: Answer) -> None:
        """What the engine will answer."""
        self.upstream.answer = answer

    def request(self, method: str, path: str, key: str | None = KEY, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return asyncio.run(self._request(method, path, headers=headers | options.pop("headers", {}), **options))

    def chat(self, **fields: Any) -> httpx.Response:
        return self.request("POST", "/v1/chat/completions", json=CHAT | fields)

    def asked(self, number: int = -1) -> dict[str, Any]:
        """The body of one of the requests that the engine got."""
        return msgspec.json.decode(self.upstream.requests[number].body, type=dict[str, Any])

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx.AsyncClient]:
        """A worker from its start to its end."""
        application = build(self.settings, self._ports, self._engine).application
        transport = httpx.ASGITransport(app=application)
        http = httpx.AsyncClient(transport=transport, base_url="http://worker")
        async with application.router.lifespan_context(application), http:
            await self._settle(http)
            yield http

    async def _settle(self, client: httpx.AsyncClient) -> None:
        """Lets the engine load, if it can."""
        for _ in range(10):
            if (await client.get("/ready")).status_code == 200:
                return

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async with self.http() as client:
            return await client.request(method, path, **options)


def problem(response: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and param of an answer, which must be in the one error shape and carry its request id."""
    answer = response.json()
    assert set(answer) == {"error", "request_id"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["message"]
    assert answer["request_id"] == response.headers["x-request-id"]
    return response.status_code, answer["error"]["code"], answer["error"]["param"]
