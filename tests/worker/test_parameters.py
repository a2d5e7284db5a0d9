"""Every parameter of OpenAI's is done or refused by name; none is ignored where OpenAI would act."""

from pathlib import Path
from typing import Any

import pytest
from openai.types import completion_create_params as text_params
from openai.types.chat import completion_create_params as chat_params

from jobs.ml_worker.completions import parameters
from jobs.ml_worker.engines.engine import Running
from local import reference
from shared.ports.upstream import OutgoingRequest
from shared.surfaces.parameters import DEARER, KNOWN
from tests.fakes import FakeResponse
from tests.worker.application import MODEL, Application, FakeEngine, problem
from tests.worker.test_tool_calls import Script

DOCS = reference.REFERENCE.read_text()


def published(module: Any) -> set[str]:
    """The parameters that OpenAI's client knows."""
    both = (module.CompletionCreateParamsNonStreaming, module.CompletionCreateParamsStreaming)
    return {name for each in both for base in each.__mro__ for name in getattr(base, "__annotations__", {})} | set(
        module.CompletionCreateParamsBase.__annotations__
    )


@pytest.mark.parametrize(
    ("module", "known"), [(chat_params, parameters.CHAT), (text_params, parameters.TEXT)], ids=["chat", "text"]
)
def test_every_parameter_that_openai_has_is_classified_and_documented(module: Any, known: Any) -> None:
    assert set(known) == published(module)
    for name, parameter in known.items():
        assert f"| `{name}` | {parameter.handling} |" in DOCS


def test_what_is_done_here_may_be_sent_to_a_server_elsewhere() -> None:
    done = {name for name, each in {**parameters.CHAT, **parameters.TEXT}.items() if each.refuses({"a": "b"}) is False}
    assert done <= KNOWN | set(DEARER)


REFUSED: list[tuple[str, Any]] = [
    ("audio", {"voice": "alloy", "format": "mp3"}),
    ("modalities", ["text", "audio"]),
    ("store", True),
    ("metadata", {"a": "b"}),
    ("moderation", {"model": "omni-moderation-latest"}),
    ("web_search_options", {}),
    ("prediction", {"type": "content", "content": "x"}),
    ("service_tier", "flex"),
    ("service_tier", "priority"),
    ("verbosity", "low"),
    ("functions", [{"name": "x"}]),
    ("function_call", "none"),
    ("prompt_cache_options", {"mode": "explicit"}),
    ("prompt_cache_retention", "24h"),
    ("reasoning_effort", "low"),
    ("stream_options", {"include_obfuscation": True}),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=str)
def test_400_names_a_parameter_that_is_not_done(tmp_path: Path, name: str, value: Any) -> None:
    app = Application(tmp_path, FakeEngine(Running("http://engine", 1000, reasons=False)))
    response = app.chat(**{name: value})
    assert problem(response) == (400, "unsupported_parameter", name)
    assert [each.url for each in app.upstream.requests] == ["http://engine/v1/completions"], "asked once, at its start"


TAKEN: list[tuple[str, Any]] = [
    *((name, None) for name, _ in REFUSED),
    ("store", False),
    ("metadata", {}),
    ("modalities", ["text"]),
    ("service_tier", "auto"),
    ("verbosity", "medium"),
    ("reasoning_effort", "none"),
    ("user", "u"),
    ("safety_identifier", "s"),
    ("prompt_cache_key", "k"),
    ("prompt_cache_retention", "in_memory"),
    ("stream_options", {"include_obfuscation": False}),
]


@pytest.mark.parametrize(("name", "value"), TAKEN, ids=str)
def test_what_changes_nothing_is_taken(tmp_path: Path, name: str, value: Any) -> None:
    answer = Script(tmp_path, "Yes.").whole(**{name: value})
    assert answer.message.content == "Yes."


@pytest.mark.parametrize("asked", ["auto", "default"])
def test_the_service_tier_that_was_asked_for_is_told(tmp_path: Path, asked: str) -> None:
    app = Script(tmp_path, "Yes.").app
    assert app.chat(service_tier=asked).json()["service_tier"] == "default"
    assert app.chat(service_tier=asked, stream=True).text.count('"service_tier":"default"') == 4
    assert "service_tier" not in app.chat().json()


@pytest.mark.parametrize(("fields", "param"), [({"suffix": "x"}, "suffix"), ({"best_of": 3, "n": 2}, "best_of")])
def test_400_names_a_parameter_of_a_text_completion(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    app = Application(tmp_path, FakeEngine(Running("http://engine", 1000)))
    response = app.request("POST", "/v1/completions", json={"model": MODEL, "prompt": "x"} | fields)
    assert problem(response) == (400, "unsupported_parameter", param)


def test_an_effort_reaches_a_model_that_reasons(tmp_path: Path) -> None:
    app = Application(tmp_path, FakeEngine(Running("http://engine", 1000, reasons=True)))

    def answer(request: OutgoingRequest) -> FakeResponse:
        return FakeResponse.json({}, 400 if b"messages" in request.body else 200)

    app.answers(answer)
    app.chat(reasoning_effort="high")
    assert app.asked()["reasoning_effort"] == "high"
