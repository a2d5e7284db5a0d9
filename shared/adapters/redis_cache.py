"""The cache in Redis: shared by all instances, bounded by the server's own `maxmemory`."""

import math

from redis import Redis

from shared.redis import availability

PREFIX = "omni:cache:"


class RedisCache:
    is_shared = True

    def __init__(self, client: Redis) -> None:
        self._client = client

    def get(self, key: str) -> bytes | None:
        with availability("cache"):
            found = self._client.get(PREFIX + key)
        return found if isinstance(found, bytes) else None

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        with availability("cache"):
            self._client.set(PREFIX + key, value, px=_milliseconds(ttl_s))

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        with availability("cache"):
            return bool(self._client.set(PREFIX + key, value, px=_milliseconds(ttl_s), nx=True))

    def drop(self, key: str) -> None:
        with availability("cache"):
            self._client.delete(PREFIX + key)


def _milliseconds(ttl_s: float) -> int:
    return math.ceil(ttl_s * 1000)
