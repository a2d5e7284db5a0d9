"""The manifest: every route once, from functions/routes.json.

The gateway routes by it, Terraform makes a Cloud Function of each row, the OpenAPI document and the tests read it.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from starlette.routing import compile_path

from shared.core.errors import MethodNotAllowed, NotFound
from shared.core.keys import Scope
from shared.settings import Settings

LEADS_NOWHERE = re.compile(r"[\x00-\x1f\x7f]|(^|/)\.\.?(/|$)")
"""Control characters are in no id, and servers further on read a line break in different ways; `.` and `..` lead
elsewhere for whoever normalises the path."""
MANIFEST = Path(__file__).parent.parent / "functions" / "routes.json"


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row. `name` is permanent: it becomes a Terraform address and the function's name."""

    name: str
    methods: tuple[str, ...]
    path: str
    kind: Literal["inference", "function", "schedule", "task", "stream", "system"]
    """`inference` is forwarded to a model's upstream, `function` is a Cloud Function of its own, `schedule` is one
    that Cloud Scheduler calls, `task` one that the queue calls; `stream` is
    answered by the gateway itself; `system` is answered by every process itself and stands
    in SYSTEM, not in the file."""
    tag: str
    summary: str
    scope: Scope | None = None
    """What a key must be allowed to; None: no key is needed."""
    request: str = ""
    response: str = ""
    """Names of Pydantic models in shared.web.schemas; empty for no body."""
    query: tuple[str, ...] = ()
    """Query parameters it reads; shared.web.openapi says what each means."""
    status: int = 200
    """What success is answered with."""
    upload: bool = False
    """Its body is a form with a file (multipart/form-data), passed on as it arrives and never held whole."""
    max_body_bytes: int = 0
    """Largest body; 0: what the setting allows."""
    timeout_s: int = 60
    memory: str = "512Mi"
    max_instances: int = 10
    concurrency: int = 8
    """Requests that one instance takes at a time; a function handles each in a thread of its own."""
    secrets: tuple[str, ...] = ()
    secret_answer: bool = False
    """Its answer holds a secret that is shown once: it is never kept, not even for an idempotency key."""
    cron: str = ""

    @property
    def moves_files(self) -> bool:
        """Whether its body or its answer is a file, which takes as long as the caller wants."""
        return self.upload or (self.kind == "function" and not self.response)


def _system(name: str, path: str, summary: str, response: str = "") -> Route:
    return Route(name, ("GET",), path, "system", "System", summary, response=response)


SYSTEM = (
    _system("health", "/api/health", "Whether the process is alive; touches nothing else.", "Health"),
    _system("ready", "/ready", "Whether what is needed is there; 503 names what is missing.", "Readiness"),
    _system("metrics", "/metrics", "Prometheus metrics."),
    _system("docs", "/api/docs", "This API as a page."),
    _system("docs_asset", "/api/docs/{asset}", "A file that the page needs."),
    _system("openapi", "/api/openapi.json", "This API as an OpenAPI document."),
)


def system(settings: Settings) -> tuple[Route, ...]:
    """SYSTEM as a process with these settings serves it: metrics name every tenant, so for the public they need a
    platform admin's key."""
    if settings.is_local or settings.run_as_internal:
        return SYSTEM
    return tuple(
        msgspec.structs.replace(row, scope=Scope.PLATFORM_ADMIN) if row.name == "metrics" else row for row in SYSTEM
    )


def behind_the_gateway(settings: Settings) -> list[Route]:
    """What the gateway answers or forwards."""
    return [route for route in (*load(), *system(settings)) if route.kind not in ("schedule", "task")]


def load(path: Path = MANIFEST) -> tuple[Route, ...]:
    """The rows of the manifest; ValueError when two share a name."""
    routes = msgspec.json.decode(path.read_bytes(), type=tuple[Route, ...])
    names = [route.name for route in routes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{path}: these names stand more than once: {', '.join(twice)}")
    return routes


class Router:
    """Finds the route for a method and a path. Paths without parameters cost one dictionary look-up."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            if "{" in route.path:
                _, methods = self._patterns.setdefault(route.path, (compile_path(route.path)[0], {}))
            else:
                methods = self._fixed.setdefault(route.path, {})
            methods.update(dict.fromkeys(route.methods, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its path parameters, HEAD's as GET's and with a slash at its end as without; NotFound or
        MethodNotAllowed."""
        path = path.rstrip("/") or path
        if methods := self._fixed.get(path):
            return self._pick(methods, method), {}
        for pattern, methods in self._patterns.values():
            if (found := pattern.fullmatch(path)) and not LEADS_NOWHERE.search(path):
                return self._pick(methods, method), found.groupdict()
        raise NotFound(f"There is nothing at {path[:200]}.")

    @staticmethod
    def _pick(methods: dict[str, Route], method: str) -> Route:
        if route := methods.get("GET" if method == "HEAD" else method):
            return route
        allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
        raise MethodNotAllowed(f"This address takes {allowed}.", headers=(("allow", allowed),))
