"""A gateway with a cache that can go away, and what its answers tell of it."""

from typing import Any

import httpx

from shared.adapters.memory_cache import MemoryCache
from shared.core.errors import Unavailable
from tests.gateway.conftest import CHAT, World

CHAT_PATH = "/v1/chat/completions"
COLD = {"temperature": 0}
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


class Gone(MemoryCache):
    """A cache that can go away; counts how often it was asked."""

    gone = False
    asked = 0

    def get(self, key: str) -> bytes | None:
        self._ask()
        return super().get(key)

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._ask()
        super().put(key, value, ttl_s)

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        self._ask()
        return super().add(key, value, ttl_s)

    def drop(self, key: str) -> None:
        self._ask()
        super().drop(key)

    def _ask(self) -> None:
        self.asked += 1
        if self.gone:
            raise Unavailable("The cache is not available.", detail="refused")


def chat(
    world: World, headers: dict[str, str] | None = None, key: str = "prod-key-acme-1", **fields: Any
) -> httpx.Response:
    return world.request("POST", CHAT_PATH, key, json=CHAT | COLD | fields, headers=headers or {})


def outcomes(*responses: httpx.Response) -> list[str]:
    assert all(response.status_code == 200 for response in responses)
    return [response.headers["x-omni-cache"] for response in responses]


def asked(world: World) -> int:
    return len(world.upstream.requests)
