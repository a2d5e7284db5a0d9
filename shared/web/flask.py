"""The edge of the route functions: Flask's request in, a Reply out, and every error in the one shape."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace

import flask
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from shared import manifest, telemetry
from shared.core.errors import InvalidRequest, OmniError, PayloadTooLarge
from shared.keys.authentication import require_scope
from shared.keys.caller_token import Call
from shared.manifest import Route, Router
from shared.settings import Settings
from shared.web.asgi import check_head
from shared.web.door import Door, Entry, require_signed_body
from shared.web.incoming import Incoming, UploadedFile, check_query, request_id
from shared.web.reply import Reply
from shared.web.system import SystemPages

SYSTEM_PAGE = "system"
log = logging.getLogger("omni.requests")

Handler = Callable[[Incoming], Reply]


class FlaskEdge:
    """Serves some of the manifest's routes, and the system pages beside them."""

    def __init__(
        self, settings: Settings, door: Door, router: Router, handlers: Mapping[str, Handler], pages: SystemPages
    ) -> None:
        self._settings = settings
        self._door = door
        self._router = router
        self._handlers = handlers
        self._pages = pages
        self._page_scopes = {page.path: page.scope for page in manifest.system(settings)}

    def serve(self, request: flask.Request) -> flask.Response:
        started = time.perf_counter()
        request_id_ = request_id(request.headers.get("x-request-id", ""))
        path = self._door.path(request.path)
        route_name, reply = self._answer(request, path, request_id_)
        if route_name != SYSTEM_PAGE:
            _measure(route_name, request.method, reply.status, started, request_id_)
        content = reply.body if reply.parts is None else reply.parts
        response = flask.Response(content, reply.status, reply.headers)
        response.headers["x-request-id"] = request_id_
        return response

    def _answer(self, request: flask.Request, path: str, request_id_: str) -> tuple[str, Reply]:
        route_name = "none"
        try:
            check_head(request.path, request.query_string, request.headers.items(), self._settings.max_header_bytes)
            if page := self._page(request, path):
                return SYSTEM_PAGE, page
            route, params = self._router.find(request.method, path)
            route_name = route.name
            return route_name, self._handle(request, route, path, params, request_id_)
        except OmniError as error:
            return route_name, _refused(error, request_id_)
        except Exception:  # The edge: whatever is left becomes a 500 in the one shape, and its story goes to the log.
            log.exception("unexpected error", extra={"fields": {"request_id": request_id_, "route": route_name}})
            return route_name, Reply.problem(OmniError(), request_id_)

    def _page(self, request: flask.Request, path: str) -> Reply | None:
        if request.method not in {"GET", "HEAD"}:
            return None
        if scope := self._page_scopes.get(path):
            call = _call(request, SYSTEM_PAGE, path)
            require_scope(self._door.enter(_headers(request), request.remote_addr or "", call).caller, scope)
        return self._pages.answer(path, request.headers.get("if-none-match", ""))

    def _handle(
        self, request: flask.Request, route: Route, path: str, params: dict[str, str], request_id_: str
    ) -> Reply:
        headers, call = _headers(request), _call(request, route.name, path)
        entry = self._door.enter(headers, request.remote_addr or "", call, route.scope)
        if not self._settings.run_as_internal:  # otherwise the gateway has counted it
            telemetry.TENANT_REQUESTS.labels(entry.caller.tenant, "", route.name).inc()
        try:
            reply = self._served(request, route, entry, params, request_id_)
        except OmniError as error:
            reply = _refused(error, request_id_)
        return replace(reply, headers=[*reply.headers, *entry.headers])

    def _served(
        self, request: flask.Request, route: Route, entry: Entry, params: dict[str, str], request_id_: str
    ) -> Reply:
        caller = entry.caller
        require_scope(caller, route.scope)
        headers, query = _headers(request), request.args.to_dict()
        check_query(route, query)
        with self._bounded(request, route):
            if route.upload:
                form, files = request.form.to_dict(), _files(request)
                incoming = Incoming(route, caller, request_id_, params, query, headers, b"", form, files)
            else:
                body = request.get_data(cache=False)
                require_signed_body(entry, body)
                incoming = Incoming(route, caller, request_id_, params, query, headers, body)
        with closing(request):  # the uploaded files
            return self._handlers[route.name](incoming)

    @contextmanager
    def _bounded(self, request: flask.Request, route: Route) -> Iterator[None]:
        most = request.max_content_length = route.max_body_bytes or self._settings.max_body_bytes
        try:
            yield
        except RequestEntityTooLarge:
            raise PayloadTooLarge(f"The body may have {most} bytes at most.") from None
        except ClientDisconnected:
            raise InvalidRequest("The body ended early.") from None


def _refused(error: OmniError, request_id_: str) -> Reply:
    if error.status >= 500:
        log.error(error.message, extra={"fields": {"request_id": request_id_, "detail": error.detail}})
    return Reply.problem(error, request_id_)


def _call(request: flask.Request, audience: str, path: str) -> Call:
    return Call(audience, request.method, path, request.query_string.decode("latin-1"))


def _files(request: flask.Request) -> dict[str, UploadedFile]:
    """What is long lies on disk, not in memory."""
    return {name: UploadedFile(file.filename or "", file.stream) for name, file in request.files.items()}


def _headers(request: flask.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _measure(route: str, method: str, status: int, started: float, request_id_: str) -> None:
    elapsed_s = time.perf_counter() - started
    telemetry.REQUESTS.labels(route, method, str(status)).inc()
    telemetry.LATENCY.labels(route, "").observe(elapsed_s)
    fields = {"request_id": request_id_, "route": route, "status": status, "ms": round(elapsed_s * 1000, 2)}
    log.info("request", extra={"fields": fields})
