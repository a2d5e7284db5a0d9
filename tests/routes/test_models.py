"""The catalogue as OpenAI's clients read it, as far as the key may see it."""

from dataclasses import replace

import pytest

from tests.routes.conftest import ACME, Routes, problem

MODEL = "smollm2-135m-instruct"
JOB = {"task": "chat_completions", "model": MODEL, "input": {"messages": [{"role": "user", "content": "Hi"}]}}


def test_200_the_list_shows_every_model(routes: Routes) -> None:
    answer = routes.call("GET", "/internal/v1/models", ACME).get_json()
    assert answer["object"] == "list"
    assert [model["id"] for model in answer["data"]] == [MODEL]


def test_200_one_model_looks_as_in_the_list(routes: Routes) -> None:
    (listed,) = routes.call("GET", "/internal/v1/models", ACME).get_json()["data"]
    assert routes.call("GET", f"/internal/v1/models/{MODEL}", ACME).get_json() == listed


@pytest.mark.parametrize(("models", "seen"), [({MODEL, "other"}, [MODEL]), ({"other"}, []), (set(), [])])
def test_200_a_key_bound_to_models_sees_no_other(routes: Routes, models: set[str], seen: list[str]) -> None:
    bound = replace(ACME, models=frozenset(models))
    answer = routes.call("GET", "/internal/v1/models", bound).get_json()
    assert [model["id"] for model in answer["data"]] == seen


def test_404_for_a_model_that_is_not_there(routes: Routes) -> None:
    assert problem(routes.call("GET", "/internal/v1/models/org/none", ACME)) == (404, "model_not_found", "model")


def test_404_for_a_model_that_the_key_may_not_use_reads_as_if_it_did_not_exist(routes: Routes) -> None:
    bound = replace(ACME, models=frozenset({"other"}))
    refused = routes.call("GET", f"/internal/v1/models/{MODEL}", bound)
    assert problem(refused) == (404, "model_not_found", "model")
    missing = routes.call("GET", "/internal/v1/models/org/none", ACME).get_json()["error"]["message"]
    assert refused.get_json()["error"]["message"] == missing.replace("org/none", MODEL)


def test_404_for_a_job_with_a_model_that_the_key_may_not_use(routes: Routes) -> None:
    bound = replace(ACME, models=frozenset({"other"}))
    assert problem(routes.call("POST", "/internal/api/v1/jobs", bound, json=JOB))[:2] == (404, "model_not_found")
    assert routes.call("POST", "/internal/api/v1/jobs", ACME, json=JOB).status_code == 202
