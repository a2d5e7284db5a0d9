"""Every operation of the OpenAPI document, called with what it allows and with much that it does not: no 5xx, and the
answers are those that the document promises.

`--hypothesis-seed=N` repeats a run; `OMNI_FUZZ_EXAMPLES` makes it longer.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared import manifest
from shared.settings import Settings
from shared.web.openapi import document
from tests.machine import free_port
from tests.stack.running import RunningStack

EXAMPLES = int(os.environ.get("OMNI_FUZZ_EXAMPLES", "15"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
schema = schemathesis.openapi.from_dict(document(tuple(manifest.behind_the_gateway(Settings(environment="local")))))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("stack")
    with RunningStack(folder, free_port(), OMNI_WORKER_CONTEXT="512", OMNI_MAX_OUTPUT_TOKENS="4") as running:
        yield running


@pytest.mark.timeout(600)
@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_the_document_says(fuzzed: RunningStack, case: Case[Any]) -> None:
    if isinstance(case.body, dict) and "max_tokens" in case.body:
        case.body["max_tokens"] = 1
    response = case.call(base_url=fuzzed.base_url, headers={"authorization": f"Bearer {fuzzed.api_key}"}, timeout=60)
    case.validate_response(response, checks=CHECKS)
