"""Every route stands once in the manifest, and has what it needs."""

import importlib
from pathlib import Path

import pytest

from functions.routes.main import NOT_HANDLERS
from shared import manifest
from shared.core.errors import NotFound

ROUTES = manifest.load()
HANDLERS = {
    path.stem for path in Path("functions/routes").glob("*.py") if "def handle(" in path.read_text(encoding="utf-8")
}


def test_every_row_has_a_handler_and_every_handler_a_row() -> None:
    assert {route.name for route in ROUTES if route.kind not in {"inference", "stream"}} == HANDLERS


def test_whatever_stands_beside_the_handlers_is_known_at_the_start() -> None:
    modules = {path.stem for path in Path("functions/routes").glob("*.py")} - {"__init__"}
    assert modules - HANDLERS == NOT_HANDLERS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_row_says_what_it_is(route: manifest.Route) -> None:
    assert route.summary.endswith(".")
    assert route.tag
    assert route.scope
    assert bool(route.cron) == (route.kind == "schedule")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_named_model_exists(route: manifest.Route) -> None:
    models = importlib.import_module("shared.web.schemas").MODELS
    assert {name for name in (route.request, route.response) if name} <= set(models)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_answers_that_show_a_key_are_marked_as_secret(route: manifest.Route) -> None:
    assert route.secret_answer == (route.response in {"NewKey", "NewWebhookSecret"})


def test_a_name_that_stands_twice_stops_the_start(tmp_path: Path) -> None:
    row = '{"name": "a", "methods": ["GET"], "path": "/a", "kind": "function", "tag": "T", "summary": "S."}'
    twice = tmp_path / "routes.json"
    twice.write_text(f"[{row}, {row}]")
    with pytest.raises(ValueError, match="more than once: a"):
        manifest.load(twice)


@pytest.mark.parametrize("path", ["/v1/models/..", "/v1/models/../jobs", "/v1/models/a/./b", "/api/v1/jobs/.", "/.."])
def test_a_path_that_would_lead_elsewhere_leads_nowhere(path: str) -> None:
    with pytest.raises(NotFound):
        manifest.Router(ROUTES).find("GET", path)


def test_dots_within_a_name_lead_where_they_say() -> None:
    assert manifest.Router(ROUTES).find("GET", "/v1/models/gpt-4.1..mini")[1] == {"model": "gpt-4.1..mini"}
