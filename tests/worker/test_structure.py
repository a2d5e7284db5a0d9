"""Answers that follow a schema, and tool calls, with the real model and the official OpenAI client."""

import json
from typing import Any, Literal

import openai
import pytest
from openai import pydantic_function_tool
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel

from tests.worker.running import MODEL

WEATHER: Any = [{"role": "user", "content": "What is the weather in Paris?"}]


class Place(BaseModel):
    city: str
    country: str


class GetWeather(BaseModel):
    """The weather at a place."""

    place: Place
    unit: Literal["celsius", "fahrenheit"]


class GetTime(BaseModel):
    """The time in a zone."""

    zone: str


TOOLS: Any = [pydantic_function_tool(GetWeather), pydantic_function_tool(GetTime)]


def test_an_answer_parses_into_a_pydantic_model(client: openai.OpenAI) -> None:
    class Person(BaseModel):
        name: str
        age: int

    messages: Any = [{"role": "user", "content": "Ann is 31 years old."}]
    answer = client.chat.completions.parse(
        model=MODEL, messages=messages, response_format=Person, max_tokens=200, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_a_json_object_is_json(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": 'Say {"city": "Paris"}'}]
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, response_format={"type": "json_object"}, max_tokens=60, temperature=0
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


@pytest.mark.parametrize("schema", [{"type": "frog"}, {"$ref": "#/nowhere"}])
def test_a_schema_that_cannot_be_followed_is_refused(client: openai.OpenAI, schema: dict[str, Any]) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError, match="schema"):
        client.chat.completions.create(model=MODEL, messages=WEATHER, response_format=wanted)


def test_a_required_tool_is_called_with_valid_arguments(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=WEATHER, tools=TOOLS, tool_choice="required", max_tokens=300, temperature=0
    )
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert message.tool_calls
    assert isinstance(message.tool_calls[0].function.parsed_arguments, GetWeather | GetTime)


def test_a_named_tool_is_the_one_that_is_called(client: openai.OpenAI) -> None:
    named: Any = {"type": "function", "function": {"name": "GetTime"}}
    answer = client.chat.completions.create(
        model=MODEL, messages=WEATHER, tools=TOOLS, tool_choice=named, max_tokens=200, temperature=0
    )
    assert answer.choices[0].finish_reason == "stop"
    (call,) = list(answer.choices[0].message.tool_calls or ())
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert call.function.name == "GetTime"
    assert set(json.loads(call.function.arguments)) == {"zone"}


def test_a_tool_call_streams(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=WEATHER, tools=TOOLS, tool_choice="required", max_tokens=300, temperature=0
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls
    assert isinstance(message.tool_calls[0].function.parsed_arguments, GetWeather | GetTime)


@pytest.mark.parametrize("most", [3, 14])
def test_a_named_call_that_is_cut_off_is_told_as_far_as_it_came(client: openai.OpenAI, most: int) -> None:
    named: Any = {"type": "function", "function": {"name": "GetWeather"}}
    asked: Any = {"model": MODEL, "messages": WEATHER, "tools": TOOLS, "tool_choice": named, "temperature": 0}
    whole = client.chat.completions.create(**asked, max_tokens=200).choices[0]
    cut = client.chat.completions.create(**asked, max_tokens=most).choices[0]
    assert (whole.finish_reason, cut.finish_reason) == ("stop", "length")
    (done,), (begun,) = (list(choice.message.tool_calls or ()) for choice in (whole, cut))
    assert isinstance(done, ChatCompletionMessageFunctionToolCall)
    assert isinstance(begun, ChatCompletionMessageFunctionToolCall)
    assert begun.function.name == "GetWeather"
    assert done.function.arguments.startswith(begun.function.arguments) != (done == begun)


def test_a_model_that_may_call_may_also_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=WEATHER, tools=TOOLS, max_tokens=8)
    assert answer.choices[0].message.content or answer.choices[0].message.tool_calls


def test_a_tool_s_result_can_be_talked_about(client: openai.OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "GetTime", "arguments": '{"zone": "CET"}'}}
    messages: Any = [
        *WEATHER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "It is 12:00."},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, max_tokens=8)
    assert answer.choices[0].message.content
