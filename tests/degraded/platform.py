"""A gateway and route functions on real connections, with a real Redis, Secret Manager's protocol, and switches."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from functions.gateway import main as gateway
from functions.routes import main as routes
from shared import manifest
from shared.adapters.secretmanager_secrets import SecretManagerSecrets
from shared.adapters.sqlite_store import SqliteStore
from shared.measured_store import MeasuredStore
from shared.settings import Settings
from shared.web.flask import FlaskEdge
from shared.wiring import Ports
from tests import redis_server, secret_manager
from tests.degraded.outages import SwitchedStore, redis_down, secrets_down
from tests.degraded.servers import GatewayServer, WsgiServer, functions, model, stopped
from tests.gateway.conftest import CATALOGUE, SECRETS
from tests.managed_keys import KeyOffice
from tests.redis_server import RedisServer
from tests.secret_manager import PROJECT, SecretManager

KEY_CACHE_S = 1.0
SECRETS_TTL_S = 2.0


@dataclass
class Platform:
    """`gateway` is started last, by the test: the outage may come before."""

    settings: Settings
    redis: RedisServer
    secret_manager: SecretManager
    worker: WsgiServer
    store: SwitchedStore
    keys: KeyOffice
    ending: ExitStack
    gateway: GatewayServer = field(init=False)
    functions: WsgiServer = field(init=False)

    def outage(self, service: str, *, hangs: bool) -> AbstractContextManager[None]:
        match service:
            case "Redis":
                return redis_down(self.redis, hangs=hangs)
            case "store":
                return self.store.down(hangs=hangs)
            case "worker":
                return stopped(self.worker)
            case "functions":
                return stopped(self.functions)
            case "secrets":
                return secrets_down(self.secret_manager)
        raise ValueError(service)

    def start_gateway(self) -> str:
        """Its address."""
        ports = self._ports(replace(self.settings, run_as_internal=False))
        self.gateway = GatewayServer(gateway.build(ports.settings, ports), ports.upstream.close)
        self.gateway.start()
        self.ending.callback(self.gateway.stop)
        return self.gateway.url

    def edge(self) -> FlaskEdge:
        served = [route for route in manifest.load() if route.kind == "function"]
        return routes.build(self.settings, self._ports(self.settings), served)

    def _ports(self, settings: Settings) -> Ports:
        ports = Ports(settings)
        ports.store = MeasuredStore(self.store)
        secrets = SecretManagerSecrets(PROJECT, ports.clock, SECRETS_TTL_S, self.secret_manager.connect)
        self.ending.callback(secrets.close)
        ports.secrets = secrets
        return ports


@contextmanager
def running(folder: Path) -> Iterator[Platform]:
    """All but the gateway."""
    catalogue = folder / "models.toml"
    catalogue.write_text(CATALOGUE)
    with ExitStack() as ending:
        redis = ending.enter_context(redis_server.running(folder))
        manager = ending.enter_context(secret_manager.running())
        manager.set(SECRETS)
        worker = WsgiServer(model)
        store = SwitchedStore(SqliteStore(folder / "omni.db", Ports(Settings()).clock))
        settings = Settings(
            environment="local",
            run_as_internal=True,
            state_dir=folder,
            models_file=catalogue,
            redis_url=redis.url,
            worker_url=worker.url,
            key_cache_s=KEY_CACHE_S,
            tier_limits="premium.requests_per_minute=100000,premium.tokens_per_minute=0",
        )
        platform = Platform(settings, redis, manager, worker, store, KeyOffice(store), ending)
        platform.functions = WsgiServer(functions(platform.edge))
        platform.settings = replace(settings, routes_url=platform.functions.url)
        for server in (worker, platform.functions):
            server.start()
            ending.callback(server.stop)
        yield platform


def metric(base_url: str, name: str) -> float:
    """The largest value of all the metric's series."""
    lines = httpx.get(f"{base_url}/metrics").text.splitlines()
    return max((float(line.split()[-1]) for line in lines if line.startswith(name)), default=0.0)
