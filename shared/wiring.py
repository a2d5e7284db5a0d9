"""Settings → ports. The only module that knows which adapters there are; each is imported when it is first used."""

import secrets
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.measured_store import MeasuredStore
from shared.ports.blobs import Blobs
from shared.ports.cache import Cache
from shared.ports.clock import Clock
from shared.ports.courier import Courier
from shared.ports.identity import Identity
from shared.ports.limiter import Limiter, SharedLimiter
from shared.ports.queue import LocalQueue, Queue
from shared.ports.secrets import Secrets
from shared.ports.store import Store
from shared.ports.upstream import Upstream
from shared.ports.verifier import Verifier
from shared.settings import (
    IdentitySource,
    QueueKind,
    SecretSource,
    Settings,
    SettingsError,
    StateKeeper,
    TokenCheck,
    environment,
)

if TYPE_CHECKING:
    from redis import Redis

LIMITER_TIMEOUT_S = 0.25
"""Longer than the cache's: to do without the limiter costs more than a pause."""

LOCAL_PROJECT = "omni-local"
"""The emulator's, when no other is named; it keeps those of all names apart."""


class Ports:
    """What the core needs from outside, made on first use and kept."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def clock(self) -> Clock:
        from shared.adapters.system_clock import SystemClock

        return SystemClock()

    @cached_property
    def secrets(self) -> Secrets:
        if self.settings.secrets is SecretSource.GOOGLE:
            if not self.settings.project:
                raise SettingsError("OMNI_PROJECT is missing: OMNI_SECRETS=secretmanager reads that project's secrets")
            from shared.adapters.secretmanager_secrets import SecretManagerSecrets

            return SecretManagerSecrets(self.settings.project, self.clock, self.settings.secrets_ttl_s)
        from shared.adapters.environment_secrets import EnvironmentSecrets

        return EnvironmentSecrets(environment())

    @cached_property
    def identity(self) -> Identity | None:
        if self.settings.identity is IdentitySource.NONE:
            return None
        from shared.adapters.metadata_identity import MetadataIdentity

        return MetadataIdentity(self.settings.metadata_host, self.clock)

    @cached_property
    def verifier(self) -> Verifier:
        from shared.adapters.google_verifier import GoogleVerifier

        platform_checks = self.settings.token_check is TokenCheck.PLATFORM
        return GoogleVerifier(self.clock, self.settings.certificates_url, platform_checks=platform_checks)

    @cached_property
    def limiter(self) -> Limiter:
        from shared.adapters.memory_limiter import MemoryLimiter

        if not self.settings.redis_url:
            return MemoryLimiter(self.clock)
        from shared.limits.fallback import FallbackLimiter, SharedTime

        _require_redis_url(self.settings.redis_url)
        time = SharedTime(self.clock)
        return FallbackLimiter(self._redis_limiter, MemoryLimiter(time), time, self.settings.assumed_instances)

    @cached_property
    def cache(self) -> Cache:
        if self.settings.redis_url:
            from shared.adapters.redis_cache import RedisCache

            return RedisCache(self._redis)
        from shared.adapters.memory_cache import MemoryCache

        return MemoryCache(self.settings.cache_bytes, self.clock)

    @cached_property
    def upstream(self) -> Upstream:
        from shared.adapters.httptools_upstream import HttptoolsUpstream

        return HttptoolsUpstream(self.settings.upstream_idle_s, most_answer_bytes=self.settings.max_answer_bytes)

    @cached_property
    def store(self) -> Store:
        if self.settings.state is StateKeeper.FIRESTORE:
            return MeasuredStore(self._firestore_store())
        from shared.adapters.sqlite_store import SqliteStore

        return MeasuredStore(SqliteStore(self.settings.state_dir / "omni.db", self.clock))

    @cached_property
    def queue(self) -> Queue:
        if self.settings.queue is not QueueKind.CLOUD_TASKS:
            return self.local_queue
        from shared.adapters.cloudtasks_queue import CloudTasksQueue

        settings = self.settings
        for value, name in ((settings.project, "OMNI_PROJECT"), (settings.tasks_account, "OMNI_TASKS_ACCOUNT")):
            if not value:
                raise SettingsError(f"{name} is missing: OMNI_QUEUE=cloudtasks needs it")
        parent = f"projects/{settings.project}/locations/{settings.location}/queues"
        queues, endpoint = f"{parent}/{settings.queue_prefix}", settings.cloud_tasks_endpoint
        return CloudTasksQueue(queues, settings.tasks_account, endpoint)

    @cached_property
    def local_queue(self) -> LocalQueue:
        from shared.adapters.sqlite_queue import SqliteQueue

        return SqliteQueue(self.settings.state_dir / "queue.db", self.clock)

    @cached_property
    def blobs(self) -> Blobs:
        if self.settings.bucket:
            from shared.adapters.gcs_blobs import GcsBlobs

            return GcsBlobs(self.settings.project, self.settings.bucket, self.settings.storage_emulator)
        from shared.adapters.file_blobs import FileBlobs

        return FileBlobs(self.settings.state_dir / "blobs")

    def _firestore_store(self) -> Store:
        from shared.adapters.firestore_store import FirestoreStore
        from shared.firestore import Firestore

        emulator = self.settings.firestore_emulator
        if not (project := self.settings.project or (emulator and LOCAL_PROJECT)):
            raise SettingsError("OMNI_PROJECT is missing: OMNI_STATE=firestore uses that project's database")
        return FirestoreStore(Firestore(project, self.settings.firestore_database, emulator))

    @cached_property
    def courier(self) -> Courier:
        from shared.adapters.httpx_courier import HttpxCourier

        return HttpxCourier(allow_private=self.settings.is_local)

    @cached_property
    def _redis(self) -> "Redis":
        from shared.redis import connect

        return connect(self.settings.redis_url, self._redis_password)

    def _redis_limiter(self) -> SharedLimiter:
        from shared.adapters.redis_limiter import RedisLimiter
        from shared.redis import connect

        redis = connect(self.settings.redis_url, self._redis_password, LIMITER_TIMEOUT_S)
        return RedisLimiter(redis, secrets.token_hex(8))

    def _redis_password(self) -> str | None:
        return self.secrets.get("OMNI_REDIS_PASSWORD")


def _require_redis_url(url: str) -> None:
    """SettingsError at the start, where the client would complain at the first request."""
    try:
        fits = url.startswith(("redis://", "rediss://", "unix://")) and urlsplit(url).port != 0
    except ValueError:
        fits = False
    if not fits:
        raise SettingsError(f"OMNI_REDIS_URL must be like redis://host:6379/0, rediss://… or unix:///path, not {url!r}")
