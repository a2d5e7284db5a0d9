"""The catalogue as OpenAI's clients read it."""

from tests.routes.conftest import ACME, Routes, problem


def test_200_the_list_shows_every_model(routes: Routes) -> None:
    answer = routes.call("GET", "/internal/v1/models", ACME).get_json()
    assert answer["object"] == "list"
    assert [model["id"] for model in answer["data"]] == ["smollm2-135m-instruct"]


def test_200_one_model_looks_as_in_the_list(routes: Routes) -> None:
    (listed,) = routes.call("GET", "/internal/v1/models", ACME).get_json()["data"]
    assert routes.call("GET", "/internal/v1/models/smollm2-135m-instruct", ACME).get_json() == listed


def test_404_for_a_model_that_is_not_there(routes: Routes) -> None:
    assert problem(routes.call("GET", "/internal/v1/models/org/none", ACME)) == (404, "model_not_found", "model")
