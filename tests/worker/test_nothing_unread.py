"""What is not known here reaches no engine: a field, a part or a value that an engine would read in its own way."""

from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.completions.engine_parameters import TAKEN
from jobs.ml_worker.engines.dialects import DIALECTS, LLAMA_PARAMETERS
from jobs.ml_worker.engines.engine import Running
from shared.ports.upstream import OutgoingRequest
from tests.fakes import FakeResponse
from tests.worker.application import MODEL, Application, FakeEngine, problem
from tests.worker.test_engine_calls import engine_answers

KNOWN = frozenset(TAKEN)
ADDRESS = "http://169.254.169.254/computeMetadata/v1/"
FUNCTION = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "null"}}}
TEXT = {"type": "text", "text": "x"}


@pytest.fixture
def app(tmp_path: Path) -> Application:
    running = Running("http://engine", 1000, media=frozenset({"image_url", "input_audio", "file"}), parameters=KNOWN)
    app = Application(tmp_path, FakeEngine(running))

    def answer(request: OutgoingRequest) -> FakeResponse:
        return engine_answers(request) if b"messages" in request.body else FakeResponse.json({})

    app.answers(answer)
    return app


@pytest.mark.parametrize("name", sorted(KNOWN - {"ignore_eos"}))
@pytest.mark.parametrize("value", ["1", "NaN", [1], {"a": 1}, True, 1e308, -1e308, 2**63, -2])
def test_400_for_an_engine_s_parameter_that_is_out_of_bounds(app: Application, name: str, value: Any) -> None:
    assert problem(app.chat(**{name: value})) == (400, "invalid_value", name)


@pytest.mark.parametrize("name", ["top_k", "repeat_last_n", "min_tokens"])
@pytest.mark.parametrize("value", [400000000.0, 1.0, 0.5])
def test_400_for_a_fraction_where_an_engine_counts(app: Application, name: str, value: float) -> None:
    assert problem(app.chat(**{name: value})) == (400, "invalid_value", name)


@pytest.mark.parametrize("name", ["user", "safety_identifier", "prompt_cache_key", "service_tier"])
@pytest.mark.parametrize("value", [True, 1, [], {"a": 1}])
def test_400_for_what_is_no_text(app: Application, name: str, value: Any) -> None:
    status, _, param = problem(app.chat(**{name: value}))
    assert (status, param) == (400, name)


@pytest.mark.parametrize("value", ["false", 0, 1, []])
def test_400_for_what_is_neither_true_nor_false(app: Application, value: Any) -> None:
    assert problem(app.chat(ignore_eos=value)) == (400, "invalid_value", "ignore_eos")


def test_every_parameter_that_a_dialect_takes_has_bounds() -> None:
    assert LLAMA_PARAMETERS.union(*(dialect.parameters for dialect in DIALECTS.values())) == KNOWN


@pytest.mark.parametrize(
    "name", ["grammar", "json_schema", "guided_json", "guided_regex", "guided_choice", "structured_outputs"]
)
def test_400_for_another_way_to_constrain_an_answer(app: Application, name: str) -> None:
    assert problem(app.chat(**{name: {"type": "null"}})) == (400, "unsupported_parameter", name)
    text = {"model": MODEL, "prompt": "x", name: "root ::= x"}
    assert problem(app.request("POST", "/v1/completions", json=text)) == (400, "unsupported_parameter", name)


@pytest.mark.parametrize("name", ["n_predict", "chat_template", "mirostat", "zzz", "Temperature", "", "x" * 5000])
@pytest.mark.parametrize("value", [False, 0, "", "1", [], {"a": 1}])
def test_400_names_a_field_at_the_top_that_is_not_known(app: Application, name: str, value: Any) -> None:
    refused = (400, "unsupported_parameter", name[:100])
    assert problem(app.chat(**{name: value})) == refused
    text = {"model": MODEL, "prompt": "x", name: value}
    assert problem(app.request("POST", "/v1/completions", json=text)) == refused


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "echo": True}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "suffix": "x"}),
        ("/v1/completions", {"prompt": "x", "tools": [FUNCTION]}),
        ("/v1/completions", {"prompt": "x", "response_format": FORMAT}),
        ("/v1/completions", {"prompt": "x", "top_logprobs": 2}),
    ],
)
def test_400_for_what_only_the_other_endpoint_has(app: Application, route: str, body: dict[str, Any]) -> None:
    status, code, param = problem(app.request("POST", route, json={"model": MODEL} | body))
    assert (status, code, param) == (400, "unsupported_parameter", list(body)[-1])


def test_null_asks_for_nothing(app: Application) -> None:
    assert app.chat(zzz=None, top_k=None, grammar=None).status_code == 200


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_400_names_a_parameter_of_another_engine(tmp_path: Path, name: str) -> None:
    app = Application(tmp_path, FakeEngine(Running("http://engine", 1000, parameters=KNOWN - {name})))
    assert problem(app.chat(**{name: True if name == "ignore_eos" else 1})) == (400, "unsupported_parameter", name)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (TEXT | {"uuid": "1", "image_url": ADDRESS}, "uuid"),
        (TEXT | {"video_url": {"url": ADDRESS}}, "video_url"),
        (TEXT | {"cache_control": {"type": "ephemeral"}}, "cache_control"),
        ({"type": "image_url", "image_url": {"url": "data:,", "uuid": "1"}}, "image_url.uuid"),
        ({"type": "image_url", "image_url": {"url": "data:,"}, "uuid": "1"}, "uuid"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav", "url": ADDRESS}}, "input_audio.url"),
        ({"type": "file", "file": {"file_url": ADDRESS}}, "file.file_url"),
    ],
)
def test_400_names_a_field_of_a_part_that_is_not_known(app: Application, part: dict[str, Any], field: str) -> None:
    refused = app.chat(messages=[{"role": "user", "content": [part]}])
    assert problem(refused) == (400, "invalid_value", f"messages.0.content.0.{field}")


@pytest.mark.parametrize("kind", ["video_url", "image_embeds", "image_pil", "audio_url", "input_image", "thinking"])
def test_400_for_a_part_of_a_type_that_is_not_known(app: Application, kind: str) -> None:
    refused = app.chat(messages=[{"role": "user", "content": [{"type": kind, kind: {"url": ADDRESS}}]}])
    assert problem(refused)[0] == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": "x", "prefix": True}]}, "messages.0.prefix"),
        ({"messages": [{"role": "system", "content": "x", "tools": []}]}, "messages.0.tools"),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL | {"x": 1}]}]}, "messages.0.tool_calls.0.x"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x", "x": 1}]}, "messages.0.x"),
        ({"tools": [FUNCTION | {"x": 1}]}, "tools.0.x"),
        ({"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]}, "tools.0.function.x"),
        ({"stream": True, "stream_options": {"continuous_usage_stats": True}}, "stream_options.continuous_usage_stats"),
        ({"response_format": FORMAT | {"x": 1}}, "response_format.x"),
        ({"response_format": {"type": "structural_tag", "structures": []}}, "response_format.type"),
        ({"response_format": {"type": "json_object", "schema": {"type": "null"}}}, "response_format.schema"),
        ({"logit_bias": {"\u0663": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"1" * 30: 1}}, "logit_bias"),
        ({"stop": ["x" * 1001]}, "stop.0"),
    ],
)
def test_400_names_a_field_that_is_not_known(app: Application, fields: dict[str, Any], param: str) -> None:
    status, _, found = problem(app.chat(**fields))
    assert (status, found) == (400, param)


@pytest.mark.parametrize("prompt", [[-1], [2**31], [[1], [2**40]]])
def test_400_for_what_is_no_token(app: Application, prompt: Any) -> None:
    refused = app.request("POST", "/v1/completions", json={"model": MODEL, "prompt": prompt})
    assert problem(refused)[0] == 400


def test_an_answer_may_be_sent_back_as_it_came_and_the_engine_gets_what_is_for_it(app: Application) -> None:
    answer = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "audio": None,
        "reasoning_content": "hm",
        "parsed": {"image_url": ADDRESS},
        "tool_calls": [CALL | {"index": 0, "function": {"name": "f", "arguments": "{}", "parsed_arguments": {"a": 1}}}],
    }
    result = {"role": "tool", "tool_call_id": "c", "content": "y", "name": "f"}
    older: dict[str, Any] = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    parsed = {"role": "assistant", "function_call": older["function_call"] | {"parsed_arguments": {"a": ADDRESS}}}
    assert app.chat(messages=[{"role": "user", "content": "x"}, answer, result, parsed]).status_code == 200
    assert app.asked()["messages"][1:] == [{"role": "assistant", "tool_calls": [CALL]}, result, older]
