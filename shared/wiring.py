"""Settings → ports. The only module that knows which adapters there are; each is imported when it is first used."""

from functools import cached_property

from shared.ports.blobs import Blobs
from shared.ports.clock import Clock
from shared.ports.limiter import Limiter
from shared.ports.queue import LocalQueue, Queue
from shared.ports.secrets import Secrets
from shared.ports.store import Store
from shared.ports.upstream import Upstream
from shared.settings import Settings, environment


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
        from shared.adapters.environment_secrets import EnvironmentSecrets

        return EnvironmentSecrets(environment())

    @cached_property
    def limiter(self) -> Limiter:
        from shared.adapters.memory_limiter import MemoryLimiter

        return MemoryLimiter(self.clock)

    @cached_property
    def upstream(self) -> Upstream:
        from shared.adapters.aiohttp_upstream import AiohttpUpstream

        return AiohttpUpstream(self.settings.upstream_idle_s)

    @cached_property
    def store(self) -> Store:
        from shared.adapters.sqlite_store import SqliteStore

        return SqliteStore(self.settings.state_dir / "omni.db", self.clock)

    @property
    def queue(self) -> Queue:
        return self.local_queue

    @cached_property
    def local_queue(self) -> LocalQueue:
        from shared.adapters.sqlite_queue import SqliteQueue

        return SqliteQueue(self.settings.state_dir / "queue.db", self.clock)

    @cached_property
    def blobs(self) -> Blobs:
        from shared.adapters.file_blobs import FileBlobs

        return FileBlobs(self.settings.state_dir / "blobs")
