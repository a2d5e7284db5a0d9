"""Tool calls by engines that know no tools: read out of the text while it comes, and streamed as OpenAI does."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from jobs.ml_worker.engines.engine import Running
from shared.ports.upstream import OutgoingRequest
from shared.web import sse
from tests.fakes import FakeResponse
from tests.worker.application import Application, FakeEngine

TIME = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}},
}
PLAIN: dict[str, Any] = {"type": "function", "function": {"name": "stop_all", "description": "Stops."}}
TOOLS = [TIME, PLAIN]
NAMED = {"type": "function", "function": {"name": "get_time"}}
CALL = '{"name": "get_time", "arguments": {"zone": "C\\"}T"}}'
ARGUMENTS = '{"zone": "C\\"}T"}'


def engine_event(choice: dict[str, Any], **more: Any) -> bytes:
    common = {"id": "chatcmpl-1", "created": 5, "model": "big", "object": "chat.completion.chunk"}
    return sse.event(json.dumps({"choices": [{"index": 0, "finish_reason": None} | choice], **common, **more}).encode())


class Script:
    """An engine that says a text in pieces of some characters."""

    def __init__(self, tmp_path: Path, text: str, finish: str = "stop", piece: int = 3) -> None:
        self.app = Application(tmp_path, FakeEngine(Running("http://engine", 4096, calls_tools=False)))
        self._text, self._finish, self._piece = text, finish, piece
        self.app.answers(self._answer)

    def _answer(self, request: OutgoingRequest) -> FakeResponse:
        if not request.url.endswith("/chat/completions"):
            return FakeResponse.json({"choices": [{"index": 0, "text": "!", "finish_reason": "length"}]})
        events = [engine_event({"delta": {"role": "assistant", "content": None}})]
        pieces = [self._text[start : start + self._piece] for start in range(0, len(self._text), self._piece)]
        events += [engine_event({"delta": {"content": piece}}) for piece in pieces]
        events.append(engine_event({"delta": {}, "finish_reason": self._finish}))
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        events.append(sse.event(json.dumps({"choices": [], "usage": usage}).encode()))
        return FakeResponse.stream(*events, sse.LAST)

    def whole(self, **fields: Any) -> Any:
        response = self.app.chat(**{"tools": TOOLS} | fields)
        assert response.status_code == 200, response.text
        return ChatCompletion.model_validate(response.json(), strict=True).choices[0]

    def deltas(self, **fields: Any) -> list[dict[str, Any]]:
        """Those of the one choice; the finish reason is the last one's."""
        response = self.app.chat(**{"tools": TOOLS, "stream": True} | fields)
        payloads = [json.loads(each) for each in sse.payloads(response.content) if each != sse.DONE]
        for payload in payloads:
            ChatCompletionChunk.model_validate(payload, strict=True)
        choices = [payload["choices"][0] for payload in payloads]
        assert [choice["finish_reason"] for choice in choices[:-1]] == [None] * (len(choices) - 1)
        return [choice["delta"] for choice in choices[:-1]] + [choices[-1]]


def arguments(deltas: list[dict[str, Any]], index: int = 0) -> list[str]:
    calls = [call for delta in deltas for call in delta.get("tool_calls", []) if call["index"] == index]
    assert set(calls[0]) == {"index", "id", "type", "function"}
    assert all("id" not in call for call in calls[1:])
    return [call["function"]["arguments"] for call in calls]


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_the_arguments_of_a_demanded_call_stream_as_they_are_made(tmp_path: Path, choice: Any) -> None:
    *deltas, last = Script(tmp_path, CALL).deltas(tool_choice=choice)
    assert deltas[0] == {"role": "assistant", "content": None, "refusal": None}
    first, *rest = arguments(deltas)
    assert first == ""
    assert len(rest) > 3
    assert "".join(rest) == ARGUMENTS
    assert last["finish_reason"] == ("stop" if choice == NAMED else "tool_calls")


@pytest.mark.parametrize(
    ("choice", "said", "known"),
    [
        ("required", '{"name": "', None),
        ("required", '{"name": "get_t', ""),
        ("required", '{"name": "get_time", "arguments": {"zone": "C', '{"zone": "C'),
        (NAMED, '{"na', ""),
        (NAMED, '{"name": "get_time", "arguments": {"zo', '{"zo'),
    ],
)
def test_a_call_that_is_cut_off_is_told_as_far_as_it_came(
    tmp_path: Path, choice: Any, said: str, known: str | None
) -> None:
    answer = Script(tmp_path / "whole", said, "length").whole(tool_choice=choice, max_tokens=5)
    assert answer.finish_reason == "length"
    calls = answer.message.tool_calls
    assert [call.function.arguments for call in calls or ()] == ([] if known is None else [known])
    assert not answer.message.content
    *deltas, last = Script(tmp_path / "stream", said, "length").deltas(tool_choice=choice, max_tokens=5)
    assert last["finish_reason"] == "length"
    assert known is None or "".join(arguments(deltas)) == known


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ("It is noon.", "It is noon.", []),
        ("\n\nIt is {noon} <b>here</b>.", "\n\nIt is {noon} <b>here</b>.", []),
        ('{"name": "unknown", "arguments": {}}', '{"name": "unknown", "arguments": {}}', []),
        ('{"name": 5}', '{"name": 5}', []),
        ("a < b, <tool> <tool_cal", "a < b, <tool> <tool_cal", []),
        ("  ", "  ", []),
        (CALL, None, [("get_time", ARGUMENTS)]),
        (f"\n{CALL}\n", None, [("get_time", ARGUMENTS)]),
        (f"<tool_call>\n{CALL}\n</tool_call>", None, [("get_time", ARGUMENTS)]),
        (f"Wait. <tool_call>{CALL}</tool_call>", "Wait. ", [("get_time", ARGUMENTS)]),
        (f"<tool_call>{CALL}</tool_call>Done.", "Done.", [("get_time", ARGUMENTS)]),
        (
            f'<tool_call>{CALL}</tool_call>\n<tool_call>{{"name":"stop_all","arguments":{{}}}}</tool_call>',
            None,
            [("get_time", ARGUMENTS), ("stop_all", "{}")],
        ),
        (f'{CALL}\n{{"name": "stop_all", "parameters": {{"a": [{{}}]}}}}', None, [
            ("get_time", ARGUMENTS), ("stop_all", '{"a": [{}]}')
        ]),
    ],
)  # fmt: skip
def test_calls_are_read_out_of_the_text_and_text_stays_text(
    tmp_path: Path, text: str, content: str | None, calls: list[tuple[str, str]], piece: int
) -> None:
    script = Script(tmp_path, text, piece=piece)
    *deltas, last = script.deltas()
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(delta.get("content") or "" for delta in deltas) == (content or "")
    assert last["finish_reason"] == ("tool_calls" if calls else "stop")
    assert ["".join(arguments(deltas, index)) for index in range(len(calls))] == [each for _, each in calls]
    whole = script.whole()
    assert whole.message.content == content
    assert [(call.function.name, call.function.arguments) for call in whole.message.tool_calls or ()] == calls
    assert len({call.id for call in whole.message.tool_calls or ()}) == len(calls)


def test_text_streams_at_once(tmp_path: Path) -> None:
    deltas = Script(tmp_path, "Hello there").deltas()
    assert [delta["content"] for delta in deltas[1:-1]] == ["Hel", "lo ", "the", "re"]


def test_only_one_call_is_told_where_several_are_not_wanted(tmp_path: Path) -> None:
    text = f"<tool_call>{CALL}</tool_call><tool_call>{CALL}</tool_call>"
    calls = Script(tmp_path, text).whole(parallel_tool_calls=False).message.tool_calls
    assert len(calls) == 1


def test_each_of_several_answers_has_its_own_call(tmp_path: Path) -> None:
    response = Script(tmp_path, CALL).app.chat(tools=TOOLS, tool_choice="required", n=3)
    answer = ChatCompletion.model_validate(response.json(), strict=True)
    ids = {call.id for choice in answer.choices for call in choice.message.tool_calls or ()}
    assert (len(answer.choices), len(ids)) == (3, 3)


def test_the_model_is_told_of_the_functions_and_what_came_of_its_calls(tmp_path: Path) -> None:
    script = Script(tmp_path, "It is noon.")
    function = {"name": "get_time", "arguments": '{"zone": "CET"}'}
    calls = [{"id": name, "type": "function", "function": function} for name in ("call_1", "call_2")]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "13:00"}]},
    ]
    assert script.whole(messages=messages).message.content == "It is noon."
    asked = script.app.asked()
    assert [message["role"] for message in asked["messages"]] == ["system", "user", "assistant", "user"]
    system, _, called, results = (json.dumps(message["content"]) for message in asked["messages"])
    assert "Be brief." in system
    for part in ("get_time", "stop_all", "Stops.", "zone", "<tool_call>"):
        assert part in system
    assert "CET" in called
    assert "12:00" in results
    assert "13:00" in results
    assert not asked.keys() & {"tools", "tool_choice", "parallel_tool_calls", "response_format"}


def test_a_format_and_functions_go_together(tmp_path: Path) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#/$defs/a", "$defs": {"a": {}}}}}
    script = Script(tmp_path, '{"name": "Ann"}')
    assert script.whole(response_format=wanted).message.content == '{"name": "Ann"}'
    schema = script.app.asked()["response_format"]["json_schema"]["schema"]
    assert len(schema["anyOf"]) == 3
    assert schema["$defs"]["answer"]["$ref"] == "#/$defs/answer/$defs/a"
