"""The pages every process serves: health, readiness, metrics, and the API as a document and as a page.

The docs page is Swagger UI, taken from the installed package; nothing is fetched from elsewhere.
"""

import hashlib
from collections.abc import Callable
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

import msgspec

from shared import VERSION, manifest, telemetry
from shared.readiness import OK, Services
from shared.web.reply import JSON, Reply

DOCS = Path(__file__).parent / "docs"
ASSETS = {
    "favicon-32x32.png": "image/png",
    "page.css": "text/css; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
"""Every file below /api/docs/ and its content type. A name that is not here is not served, whatever it says."""

NO_SNIFFING = ("x-content-type-options", "nosniff")
REVALIDATE = ("cache-control", "no-cache")
FOR_AN_HOUR = ("cache-control", "public, max-age=3600")
RETRY_AFTER = ("retry-after", "5")
POLICY = (
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)


class SystemPages:
    def __init__(self, service: str, readiness: Callable[[], Services]) -> None:
        self._service = service
        self._readiness = readiness
        self._pages: dict[str, Callable[[], Reply]] = {
            "/api/health": self._health,
            "/ready": self._ready,
            "/metrics": _metrics,
            "/api/openapi.json": self._openapi,
            "/api/docs": _docs,
        }

    def answer(self, path: str, if_none_match: str = "") -> Reply | None:
        """The page at `path`, or None when it is not one of these. 304 when `if_none_match` names what it has now."""
        page = self._pages.get(path)
        reply = page() if page else _asset(path)
        return reply and _unless_known(reply, if_none_match)

    def _health(self) -> Reply:
        return Reply.json({"status": "ok", "service": self._service, "version": VERSION})

    def _ready(self) -> Reply:
        found = self._readiness()
        services = {**found.required, **found.optional}
        if any(state != OK for state in found.required.values()):
            return Reply.json({"status": "unavailable", "services": services}, 503, [RETRY_AFTER])
        all_ok = all(state == OK for state in found.optional.values())
        return Reply.json({"status": "ok" if all_ok else "degraded", "services": services})

    def _openapi(self) -> Reply:
        return self._document

    @cached_property
    def _document(self) -> Reply:
        from shared.web.openapi import document  # brings Pydantic and every schema along, for those who ask

        return _file(msgspec.json.encode(document((*manifest.load(), *manifest.SYSTEM))), JSON[1], REVALIDATE)


def _metrics() -> Reply:
    body, content_type = telemetry.exposition()
    return Reply(200, body, [("content-type", content_type)])


@cache  # the same bytes for every caller, however many do not read them
def _docs() -> Reply:
    return _file((DOCS / "index.html").read_bytes(), "text/html; charset=utf-8", REVALIDATE, POLICY)


def _asset(path: str) -> Reply | None:
    name = path.removeprefix("/api/docs/")
    return _page_file(name) if name != path and name in ASSETS else None


@cache
def _page_file(name: str) -> Reply:
    return _file(_asset_path(name).read_bytes(), ASSETS[name], FOR_AN_HOUR)


def _asset_path(name: str) -> Path:
    """Ours, or Swagger UI's. The package is only looked up: to import it would bring Flask along."""
    if (DOCS / name).is_file():
        return DOCS / name
    package = find_spec("flask_swagger_ui")
    if package is None or package.origin is None:
        raise FileNotFoundError("the package flask-swagger-ui, which has the docs page's files, is not installed")
    return Path(package.origin).parent / "dist" / name


def _file(body: bytes, content_type: str, *headers: tuple[str, str]) -> Reply:
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return Reply(200, body, [("content-type", content_type), ("etag", etag), NO_SNIFFING, *headers])


def _unless_known(reply: Reply, if_none_match: str) -> Reply:
    etag = dict(reply.headers).get("etag")
    known = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return Reply(304, b"", reply.headers) if etag in known else reply
