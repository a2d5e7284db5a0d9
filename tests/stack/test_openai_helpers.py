"""What OpenAI's client does beyond a request: its pages, loops and helpers, against the whole platform."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, pydantic_function_tool
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.stack.running import RunningStack
from tests.stack.test_openai_client import HELLO, MODEL

PAGE = Path(__file__).parent.parent.parent / "docs" / "15-openai.md"


class GetTime(BaseModel):
    zone: str


TOOLS: Any = [pydantic_function_tool(GetTime)]


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Iterator[openai.OpenAI]:
    with stack.openai() as client:
        yield client


def test_the_example_of_the_page_runs(stack: RunningStack) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    where = {"OPENAI_BASE_URL": f"{stack.base_url}/v1", "OPENAI_API_KEY": stack.api_key}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **where},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_files_can_be_deleted_while_they_are_listed(client: openai.OpenAI) -> None:
    made = {client.files.create(file=(f"{n}.jsonl", b"{}\n"), purpose="evals").id for n in range(5)}
    assert {file.id for file in client.files.list(limit=2, purpose="evals")} == made
    for file in client.files.list(limit=2, purpose="evals"):
        client.files.delete(file.id)
    assert list(client.files.list(purpose="evals")) == []


def test_a_loop_of_calls_and_results_comes_to_an_answer(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What time is it in Paris?"}]
    asked: Any = {"model": MODEL, "tools": TOOLS, "temperature": 0, "max_tokens": 60}
    message = client.chat.completions.create(**asked, messages=messages, tool_choice="required").choices[0].message
    messages.append(message)
    for call in message.tool_calls or ():
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "It is 12:00."})  # noqa: PERF401
    assert len(messages) == 3
    answer = client.chat.completions.create(**asked, messages=messages).choices[0].message
    assert answer.content or answer.tool_calls


def test_the_stream_helper_tells_arguments_as_they_are_made(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": HELLO, "tools": TOOLS, "temperature": 0, "max_tokens": 100}
    with client.chat.completions.stream(**asked, tool_choice="required") as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert kinds.count("tool_calls.function.arguments.delta") > 1
    assert message.tool_calls
    assert isinstance(message.tool_calls[0].function.parsed_arguments, GetTime)


def test_raw_responses_have_headers_and_streams_can_be_read_by_line(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 2}
    raw = client.chat.completions.with_raw_response.create(**asked)
    assert raw.headers["x-request-id"]
    assert raw.parse().choices[0].finish_reason == "length"
    with client.chat.completions.with_streaming_response.create(**asked) as response:
        assert "".join(response.iter_lines())


def test_many_requests_of_the_async_client_stream_side_by_side(stack: RunningStack) -> None:
    async def run() -> list[list[ChatCompletionChunk]]:
        with stack.openai() as sync:
            where, key = sync.base_url, sync.api_key
        async with AsyncOpenAI(base_url=where, api_key=key, max_retries=0, timeout=60) as client:
            asked: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 3, "stream": True}

            async def parts() -> list[ChatCompletionChunk]:
                return [part async for part in await client.chat.completions.create(**asked)]

            return await asyncio.gather(*(parts() for _ in range(4)))

    for parts in asyncio.run(run()):
        assert parts[0].choices[0].delta.role == "assistant"
        assert parts[-1].choices[0].finish_reason


@pytest.mark.parametrize(("name", "value"), [("store", True), ("web_search_options", {}), ("service_tier", "flex")])
def test_what_is_not_done_is_refused_by_name(client: openai.OpenAI, name: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2, extra_body={name: value})
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", name)


def test_a_prompt_alone_comes_back(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="Once upon", max_tokens=0, echo=True)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Once upon", "length")
    assert answer.usage
    assert answer.usage.completion_tokens == 0


def test_as_many_answers_come_as_openai_gives(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1, n=128)
    assert [choice.index for choice in answer.choices] == list(range(128))
