"""The official OpenAI client, unmodified, against the whole platform and its real model."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.stack.running import RunningStack

MODEL = "smollm2-135m-instruct"
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Iterator[openai.OpenAI]:
    with stack.openai() as client:
        yield client


def test_it_lists_and_gets_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


def test_it_chats(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=12)
    assert answer.choices[0].message.content
    assert answer.model == MODEL
    assert answer.usage
    assert 1 <= answer.usage.completion_tokens <= 12


def test_it_streams_with_usage_last(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=12, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens >= 1


def test_the_same_seed_gives_the_same_answer(client: openai.OpenAI) -> None:
    def answer() -> str | None:
        created = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=16, seed=7, temperature=1.5)
        return created.choices[0].message.content

    assert answer() == answer()


def test_an_answer_follows_a_json_schema(client: openai.OpenAI) -> None:
    class Person(BaseModel):
        name: str
        age: int

    messages: Any = [{"role": "user", "content": "Ann is 31 years old."}]
    answer = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Person, max_tokens=60)
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_it_stops_where_it_is_told(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Count: 1 2 3 4 5"}], stop=["3"], max_tokens=40
    )
    assert "3" not in (answer.choices[0].message.content or "")


def test_it_completes_several_prompts_at_once(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=["Once upon", "The sky is"], max_tokens=5)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage
    assert 2 <= answer.usage.completion_tokens <= 10


def test_a_required_tool_is_called_with_arguments_that_fit(client: openai.OpenAI) -> None:
    tool: Any = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[tool],
        tool_choice="required",
        temperature=0,
        max_tokens=200,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


@pytest.mark.parametrize(
    ("change", "error", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model"),
        ({"messages": "hi"}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "user", "content": "x " * 20_000}]}, openai.BadRequestError, "messages"),
        ({"temperature": 9}, openai.BadRequestError, "temperature"),
        ({"max_tokens": 0}, openai.BadRequestError, "max_tokens"),
    ],
)
def test_mistakes_are_the_clients_own_errors(
    client: openai.OpenAI, change: dict[str, Any], error: type[openai.APIStatusError], param: str
) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{"model": MODEL, "messages": HELLO, "max_tokens": 5} | change)
    assert caught.value.param == param


def test_a_wrong_key_is_the_clients_authentication_error(stack: RunningStack) -> None:
    with stack.openai(api_key="wrong") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
