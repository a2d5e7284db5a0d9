"""`omni chat` prints what the model says, as it says it."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Omni
from tests.cli.platform import ENDING, MODEL, Asked, Breaks, Platform, chunk, stream
from tests.cli.platform_hooks import Said, problem

CHAT = "POST", "/v1/chat/completions"


def test_the_answer_goes_to_standard_output(omni: Omni, platform: Platform) -> None:
    result = omni("chat", "What is the capital of France?")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Paris.\n", "")
    assert platform.asked[-1].body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_question_may_come_through_a_pipe(omni: Omni, platform: Platform) -> None:
    assert omni("chat", stdin="What is\na lease?").stdout == "Paris.\n"
    assert platform.asked[-1].body["messages"] == [{"role": "user", "content": "What is\na lease?"}]


def test_options_shape_the_request(omni: Omni, platform: Platform, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    given = (
        "--model",
        "m",
        "--system",
        "Be brief.",
        "--max-tokens",
        "9",
        "--temperature",
        "0",
        "--json",
        "schema.json",
    )
    assert omni("chat", "Where?", *given, OMNI_CALLED_FROM=str(tmp_path)).exit_code == 0
    body = platform.asked[-1].body
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 9, 0.0)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert [asked.path for asked in platform.asked] == ["/v1/chat/completions"]


def test_statistics_are_measured_and_go_to_standard_error(omni: Omni) -> None:
    result = omni("chat", "Hello", "--stats")
    assert result.stdout == "Paris.\n"
    assert f"{MODEL}: first token after " in result.stderr
    assert "5 tokens in, 3 out" in result.stderr
    assert "tokens/s" in result.stderr


def test_nothing_is_told_that_was_not_measured(omni: Omni, platform: Platform) -> None:
    platform.instead[CHAT] = lambda _: Said(200, stream(chunk("Yes."), "[DONE]"))
    assert "tokens" not in omni("chat", "Hello", "--stats").stderr


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_not_sent(omni: Omni, platform: Platform, question: str) -> None:
    assert omni("chat", stdin=question).exit_code == 2
    assert platform.asked == []


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_file_without_a_schema_is_a_usage_error(omni: Omni, tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    result = omni("chat", "Hello", "--json", str(tmp_path / "bad.json"))
    assert result.exit_code == 2
    assert "holds no JSON Schema" in result.stderr


def test_a_missing_schema_is_a_usage_error(omni: Omni) -> None:
    result = omni("chat", "Hello", "--json", "/nowhere.json")
    assert result.exit_code == 2
    assert "/nowhere.json: No such file or directory" in result.stderr


@pytest.mark.parametrize("end", [(), (Breaks(),)], ids=["closed", "cut"])
def test_a_broken_stream_keeps_what_came_and_fails(omni: Omni, platform: Platform, end: tuple[object, ...]) -> None:
    platform.instead[CHAT] = lambda _: Said(200, stream(chunk("Par"), *end))
    result = omni("chat", "Hello")
    assert (result.exit_code, result.stdout) == (1, "Par\n")
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_inside_a_stream_is_told(omni: Omni, platform: Platform) -> None:
    late = {"error": {"message": "The model's server broke off.", "code": "upstream_failed"}, "request_id": "req_late"}
    platform.instead[CHAT] = lambda _: Said(200, stream(chunk("Par"), late))
    result = omni("chat", "Hello")
    assert (result.exit_code, result.stdout) == (1, "Par\n")
    assert result.stderr == "Error: The model's server broke off.\n  (upstream_failed, request id req_late)\n"


def test_a_model_that_does_not_exist_is_told(omni: Omni, platform: Platform) -> None:
    platform.instead[CHAT] = lambda _: problem(404, "The model 'm' does not exist.", "model_not_found")
    result = omni("chat", "Hello", "--model", "m")
    assert result.exit_code == 1
    assert "The model 'm' does not exist." in result.stderr


def test_a_catalogue_without_a_chat_model_is_told(omni: Omni, platform: Platform) -> None:
    platform.instead["GET", "/v1/models"] = lambda _: Said(200, {"data": []})
    result = omni("chat", "Hello")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: The catalogue (models.toml) has no model of the kind 'chat'.\n",
    )


def test_line_separators_inside_an_answer_survive(omni: Omni, platform: Platform) -> None:
    def raw(_: Asked) -> Said:
        return Said(200, stream(json.dumps(chunk("a\u2028b"), ensure_ascii=False), *ENDING))

    platform.instead[CHAT] = raw
    assert omni("chat", "Hello").stdout == "a\u2028b\n"
