"""What a caller writes is never part of a statement, before its key is checked or after (CVE-2026-42208)."""

from typing import Any

import pytest

from tests.routes.conftest import ACME, ADMIN, Routes, problem

STATEMENTS = [
    "' OR 1=1 --",
    '" OR ""="',
    "x'; DROP TABLE keys; --",
    "x') UNION SELECT body FROM keys --",
    "$.tenant",
    "%' ESCAPE '",
    "\\'; VACUUM; --",
]
HEADERS = ("authorization", "x-api-key", "x-omni-caller", "idempotency-key", "x-request-id", "x-forwarded-for")


@pytest.fixture
def routes(tmp_path: Any) -> Routes:
    return Routes(tmp_path, internal=True)


def made(routes: Routes) -> list[Any]:
    answer = routes.call("POST", "/internal/api/v1/keys", ADMIN, json={"name": "ci", "tenant": "other"})
    assert answer.status_code == 201
    listed: list[Any] = routes.call("GET", "/internal/api/v1/keys", ADMIN).get_json()["data"]
    return listed


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("header", HEADERS)
def test_in_a_header(routes: Routes, header: str, statement: str) -> None:
    before = made(routes)
    value = f"Bearer {statement}" if header == "authorization" else statement
    assert routes.call("GET", "/internal/api/v1/jobs", headers={header: value}).status_code == 401
    assert routes.call("GET", "/internal/api/v1/keys", ADMIN).get_json()["data"] == before


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("path", ["jobs/{}", "keys/{}", "webhooks/deliveries/{}"])
def test_in_a_path(routes: Routes, path: str, statement: str) -> None:
    before = made(routes)
    answer = routes.call("GET", "/internal/api/v1/" + path.format(statement.replace("/", "")), ADMIN)
    assert problem(answer)[0] == 404
    assert routes.call("GET", "/internal/api/v1/keys", ADMIN).get_json()["data"] == before


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("name", ["after", "state", "task", "tenant", "limit", "metadata[x]", "order_by"])
def test_in_a_query(routes: Routes, name: str, statement: str) -> None:
    before = made(routes)
    answer = routes.call("GET", "/internal/api/v1/jobs", ACME, query_string={name: statement})
    assert answer.status_code in {200, 400}
    assert answer.get_json().get("data", []) == []
    assert routes.call("GET", "/internal/api/v1/keys", ADMIN).get_json()["data"] == before


@pytest.mark.parametrize("statement", STATEMENTS)
def test_in_a_body(routes: Routes, statement: str) -> None:
    wanted = {"name": statement, "metadata": {statement: statement}, "models": [statement]}
    answer = routes.call("POST", "/internal/api/v1/keys", ADMIN, json=wanted)
    assert answer.status_code in {201, 400}
    if answer.status_code == 201:
        assert answer.get_json()["name"] == statement
    assert (
        routes.call("POST", "/internal/api/v1/keys", ADMIN, json={"name": "x", "tenant": statement}).status_code == 400
    )
