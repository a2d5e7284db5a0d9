"""The pages that every process serves."""

import json
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import VERSION, manifest
from shared.readiness import Services
from shared.web.reply import Reply
from shared.web.system import ASSETS, SystemPages

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pages() -> SystemPages:
    return SystemPages("gateway", lambda: Services({"store": "ok"}, {"queue": "ok"}))


def page(pages: SystemPages, path: str) -> Reply:
    reply = pages.answer(path)
    assert reply is not None
    return reply


class Links(HTMLParser):
    """The addresses a page loads from, and whether it holds a script of its own."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline_scripts = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [link for name in ("src", "href") if (link := given.get(name))]
        self.inline_scripts += tag == "script" and "src" not in given


def test_the_version_is_the_projects() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_health_names_the_service_and_the_version(pages: SystemPages) -> None:
    reply = page(pages, "/api/health")
    assert reply.status == 200
    assert json.loads(reply.body) == {"status": "ok", "service": "gateway", "version": VERSION}


def test_health_touches_nothing_else() -> None:
    def broken() -> Services:
        raise AssertionError("health must not ask for readiness")

    assert page(SystemPages("gateway", broken), "/api/health").status == 200


def test_ready_when_every_service_answers(pages: SystemPages) -> None:
    reply = page(pages, "/ready")
    assert reply.status == 200
    assert json.loads(reply.body) == {"status": "ok", "services": {"store": "ok", "queue": "ok"}}


def test_a_service_that_is_down_is_named_with_503_and_when_to_come_back() -> None:
    reply = page(SystemPages("gateway", lambda: Services({"store": "no such file"}, {"queue": "ok"})), "/ready")
    assert reply.status == 503
    assert json.loads(reply.body)["status"] == "unavailable"
    assert json.loads(reply.body)["services"]["store"] == "no such file"
    assert dict(reply.headers)["retry-after"] == "5"


def test_a_missing_option_is_named_and_is_no_reason_to_send_callers_elsewhere() -> None:
    reply = page(SystemPages("gateway", lambda: Services({"store": "ok"}, {"queue": "gone"})), "/ready")
    assert reply.status == 200
    assert json.loads(reply.body) == {"status": "degraded", "services": {"store": "ok", "queue": "gone"}}


def test_metrics_are_in_prometheus_format(pages: SystemPages) -> None:
    reply = page(pages, "/metrics")
    assert b"# TYPE omni_requests_total counter" in reply.body
    assert dict(reply.headers)["content-type"].startswith("text/plain")


def test_the_document_is_json_that_need_not_be_sent_twice(pages: SystemPages) -> None:
    reply = page(pages, "/api/openapi.json")
    assert json.loads(reply.body)["openapi"] == "3.1.0"
    etag = dict(reply.headers)["etag"]
    for known in (etag, f'"other", W/{etag}'):
        again = pages.answer("/api/openapi.json", known)
        assert again is not None
        assert (again.status, again.body) == (304, b"")
    changed = pages.answer("/api/openapi.json", '"other"')
    assert changed is not None
    assert changed.status == 200


def test_the_docs_page_loads_only_what_this_process_serves(pages: SystemPages) -> None:
    links = Links(page(pages, "/api/docs").body.decode())
    assert links.found
    for link in links.found:
        assert pages.answer(f"/api/{link}") is not None, link


def test_the_docs_page_runs_no_script_but_its_own_files(pages: SystemPages) -> None:
    reply = page(pages, "/api/docs")
    policy = dict(reply.headers)["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert Links(reply.body.decode()).inline_scripts == 0


@pytest.mark.parametrize(("name", "content_type"), ASSETS.items())
def test_every_asset_is_served_as_what_it_is(pages: SystemPages, name: str, content_type: str) -> None:
    reply = page(pages, f"/api/docs/{name}")
    headers = dict(reply.headers)
    assert reply.body
    assert headers["content-type"] == content_type
    assert "max-age" in headers["cache-control"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/nope", "/swagger-ui.css", "/api/docs/", "/api/docs/nope.js", "/api/docs/index.html"),
        *("/api/docs/../system.py", "/api/docs/%2e%2e/system.py", "/api/docs//etc/passwd", "/api/docs/swagger-ui.css/"),
    ],
)
def test_what_is_not_a_page_is_left_to_others(pages: SystemPages, path: str) -> None:
    assert pages.answer(path) is None


@given(st.text() | st.from_regex(r"[./\\%a-z]*"))
def test_no_path_below_docs_reaches_any_other_file(path: str) -> None:
    pages = SystemPages("gateway", lambda: Services({}))
    assert (pages.answer("/api/docs/" + path) is not None) == (path in ASSETS)


def test_every_system_route_has_its_page(pages: SystemPages) -> None:
    for route in manifest.SYSTEM:
        assert page(pages, route.path.replace("{asset}", "page.css")).status == 200


def test_the_pages_cost_a_process_neither_pydantic_nor_flask_at_its_start() -> None:
    script = (
        "import sys; from shared.web.system import SystemPages; SystemPages('x', None).answer('/api/docs/page.css');"
        "SystemPages('x', None).answer('/api/docs/swagger-ui.css');"
        "sys.exit(bool({'pydantic', 'flask', 'flask_swagger_ui'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
