"""The route functions: one Cloud Function a row of the manifest, or all of them in one process, by path."""

import importlib
import logging
import pkgutil
from collections.abc import Callable
from functools import partial

import flask

from functions import routes as package
from functions.routes.context import Context
from shared import manifest, reporting, telemetry
from shared.batches.batches import Batches
from shared.catalogue import Catalogue
from shared.core.errors import NotInstalled
from shared.core.keys import Scope
from shared.files.files import Files
from shared.files.retention import Retention
from shared.files.uploads import Uploads
from shared.jobs.jobs import Jobs
from shared.keys.authentication import Authenticator
from shared.keys.caller_keys import PUBLIC, CallerVerifier
from shared.limits.policy import LimitPolicy
from shared.manifest import Route, Router
from shared.money.policy import BudgetPolicy
from shared.readiness import Remembered, Services, secrets_check
from shared.settings import Settings
from shared.sweeps.quarantine import Quarantine
from shared.sweeps.sweep import Sweeps
from shared.web.door import Door
from shared.web.flask import FlaskEdge, Handler
from shared.web.incoming import Incoming
from shared.web.keep_alive import keep_connections
from shared.web.reply import Reply
from shared.web.system import SystemPages
from shared.web.system_door import SystemDoor
from shared.webhooks.webhooks import Webhooks
from shared.wiring import Ports

ALL = "routes"
NOT_HERE = frozenset({"inference", "stream"})
"""Kinds that the worker and the gateway answer."""
NOT_HANDLERS = {"main", "context", "lists"}
log = logging.getLogger("omni.routes")


def entry(name: str) -> Callable[[flask.Request], flask.Response]:
    """The function a target names: one row's, or with `routes` every row's. KeyError when there is no such row."""
    served = [route for route in manifest.load() if route.kind not in NOT_HERE and name in {ALL, route.name}]
    if not served:
        raise KeyError(name)
    _refuse_handlers_without_a_row()
    settings = Settings.load()
    telemetry.start_logging(name, settings.log_level)
    reporting.start_errors(settings, name)
    reporting.start_metrics(settings, name, forks=True)
    edge = build(settings, Ports(settings), served)
    keep_connections()

    def function(request: flask.Request) -> flask.Response:
        return edge.serve(request)

    return function


def build(settings: Settings, ports: Ports, served: list[Route]) -> FlaskEdge:
    """The edge that serves these rows, composed from the ports."""
    authenticator = Authenticator.from_settings(settings, ports.secrets, ports.store, ports.clock)
    catalogue = Catalogue.load(settings.models_file)
    policy = LimitPolicy.of(settings, catalogue)
    system = _system_door(settings, ports, served)
    door = Door(
        settings, CallerVerifier(ports.secrets, ports.clock), authenticator, ports.limiter, ports.clock, policy, system
    )
    files = Files(ports.store, ports.blobs, ports.clock, settings.tenant_storage_bytes)
    uploads = Uploads(ports.store, ports.blobs, files, ports.clock)
    budgets = BudgetPolicy.of(settings, catalogue)
    jobs = Jobs(ports.store, ports.queue, ports.blobs, ports.clock, settings, budgets=budgets)
    sweeps = Sweeps(ports.store, ports.clock, settings.quarantine_after)
    batches = Batches(ports.store, jobs, ports.clock, settings)
    context = Context(
        settings,
        ports,
        catalogue,
        jobs,
        policy,
        budgets,
        files,
        batches,
        uploads,
        Retention(files, uploads, batches.records.reads, ports.clock, sweeps),
        Webhooks(ports.store, ports.queue, ports.courier, ports.secrets, ports.clock, settings),
        sweeps,
        Quarantine(ports.store, settings.quarantine_after),
    )
    handlers = {route.name: _handler(route, context) for route in served}
    return FlaskEdge(settings, door, Router(served), handlers, SystemPages("routes", _readiness(ports)))


def _system_door(settings: Settings, ports: Ports, served: list[Route]) -> SystemDoor | None:
    urls = [settings.route_url(route.name) for route in served if route.scope is Scope.SYSTEM]
    return SystemDoor.from_settings(settings, ports.verifier, urls) if urls else None


def _refuse_handlers_without_a_row() -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    if unknown := modules - NOT_HANDLERS - {route.name for route in manifest.load()}:
        raise ValueError(f"functions/routes.json has no row for: {', '.join(sorted(unknown))}")


def _handler(route: Route, context: Context) -> Handler:
    """The row's handler. One whose optional dependency is missing answers 501, and the others start all the same."""
    try:
        module = importlib.import_module(f"functions.routes.{route.name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("functions."):
            raise  # a row without a handler is a mistake, not a missing option
        log.warning("route left out", extra={"fields": {"route": route.name, "missing": error.name}})
        return partial(_not_installed, error.name)
    return partial(_call, module.handle, context)


def _call(handle: Callable[[Incoming, Context], Reply], context: Context, incoming: Incoming) -> Reply:
    return handle(incoming, context)


def _not_installed(package: str, incoming: Incoming) -> Reply:
    raise NotInstalled(f"'{incoming.route.name}' needs the package '{package}', which is not installed here.")


def _readiness(ports: Ports) -> Callable[[], Services]:
    checks = {"store": ports.store.ping, "queue": ports.queue.ping, "secrets": secrets_check(ports.secrets, PUBLIC)}
    states = {name: Remembered(check, ports.clock) for name, check in checks.items()}
    return lambda: Services({name: state() for name, state in states.items()})
