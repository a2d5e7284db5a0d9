"""What an engine gets of a caller's schema: a grammar where it takes one, else the schema without what is not kept."""

from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.engines.engine import Running
from shared.ports.upstream import OutgoingRequest
from tests.fakes import FakeResponse
from tests.worker.application import Application, FakeEngine, problem
from tests.worker.test_engine_calls import engine_answers

GRAMMARS = Running("http://engine", 1000, calls_tools=True, takes_grammars=True)
SCHEMAS = Running("http://engine", 1000, calls_tools=True)
NO_TOOLS = Running("http://engine", 1000, calls_tools=False, takes_grammars=True)
LOOK_AHEAD = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=b)b$", "minLength": 1}}}
PLAIN = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^b$"}}}


def app(path: Path, running: Running) -> Application:
    application = Application(path, FakeEngine(running))

    def answer(request: OutgoingRequest) -> FakeResponse:
        return engine_answers(request) if b"messages" in request.body else FakeResponse.json({})

    application.answers(answer)
    return application


def response_format(schema: Any, *, strict: bool) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "strict": strict, "schema": schema}}


def tool(schema: Any, *, strict: bool) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", "strict": strict, "parameters": schema}}]


def test_an_engine_that_takes_grammars_gets_one_and_no_schema(tmp_path: Path) -> None:
    worker = app(tmp_path, GRAMMARS)
    assert worker.chat(response_format=response_format(PLAIN, strict=True)).status_code == 200
    assert worker.asked()["grammar"].startswith("root ::= ")
    assert "response_format" not in worker.asked()


def test_another_engine_gets_the_schema_as_it_is(tmp_path: Path) -> None:
    worker = app(tmp_path, SCHEMAS)
    worker.chat(response_format=response_format(PLAIN, strict=True))
    assert worker.asked()["response_format"]["json_schema"]["schema"] == PLAIN


@pytest.mark.parametrize("running", [GRAMMARS, SCHEMAS, NO_TOOLS])
def test_400_names_the_field_the_place_and_the_keyword_that_is_not_kept(tmp_path: Path, running: Running) -> None:
    refused = app(tmp_path, running).chat(response_format=response_format(LOOK_AHEAD, strict=True))
    assert problem(refused) == (400, "unsupported_schema", "response_format")
    assert "properties/a" in refused.json()["error"]["message"]
    assert "'pattern'" in refused.json()["error"]["message"]


def test_without_strict_no_engine_gets_a_keyword_that_is_not_kept(tmp_path: Path) -> None:
    worker = app(tmp_path, SCHEMAS)
    assert worker.chat(response_format=response_format(LOOK_AHEAD, strict=False)).status_code == 200
    kept = {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}
    assert worker.asked()["response_format"]["json_schema"]["schema"] == kept


@pytest.mark.parametrize("running", [GRAMMARS, SCHEMAS])
def test_a_tool_s_schema_is_looked_at_as_well(tmp_path: Path, running: Running) -> None:
    worker = app(tmp_path, running)
    refused = worker.chat(tools=tool({"$ref": "#"}, strict=False))
    assert problem(refused) == (400, "invalid_schema", "tools.0.function.parameters")
    refused = worker.chat(tools=tool(LOOK_AHEAD, strict=True))
    assert problem(refused) == (400, "unsupported_schema", "tools.0.function.parameters")
    worker.chat(tools=tool(LOOK_AHEAD, strict=False))
    shown = worker.asked()["tools"][0]["function"]["parameters"]["properties"]["a"]
    assert shown == {"type": "string", "minLength": 1}


def test_a_call_that_is_demanded_is_held_to_the_tool_s_schema_by_a_grammar(tmp_path: Path) -> None:
    worker = app(tmp_path, NO_TOOLS)
    assert worker.chat(tools=tool(PLAIN, strict=True), tool_choice="required").status_code == 200
    assert "grammar" in worker.asked()
    refused = worker.chat(tools=tool({"$ref": "#"}, strict=True), tool_choice="required")
    assert problem(refused)[:2] == (400, "invalid_schema")


def test_a_job_and_a_line_are_refused_alike(tmp_path: Path) -> None:
    """Both come through the same inference, with the tenant of their job."""
    refused = app(tmp_path, GRAMMARS).chat(response_format=response_format({"$ref": "#"}, strict=False), stream=True)
    assert problem(refused) == (400, "invalid_schema", "response_format")
