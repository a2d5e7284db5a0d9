"""The worker's side of an engine's HTTP interface: OpenAI's routes, and those for counting tokens."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec

from jobs.ml_worker.engines import refusals
from jobs.ml_worker.engines.engine import Running
from shared.core.errors import UpstreamFailed, UpstreamTimeout
from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, TimedOut, Upstream
from shared.web import sse

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
PROMPT_FIELDS = ("model", "messages", "tools", "tool_choice")
"""What a template makes the prompt of."""
COUNTED: tuple[str, ...] = ("model", "messages", "prompt", "tools")
"""What vLLM counts the tokens of."""
HEADERS = [("content-type", "application/json"), ("connection", "close")]
"""llama.cpp closes a connection that was idle for 5 s, and one kept for later may be gone just as it is used."""

MOST_TEMPLATE_TOKENS = 256
"""Beside what the names of a message's fields make up for: a system message that nobody sent."""
LONGEST_TOKEN = 128
"""Characters; the longest in use are runs of that many blanks."""

_encode = msgspec.json.Encoder().encode


class EngineClient:
    def __init__(self, upstream: Upstream, running: Running, silence_s: float) -> None:
        """`silence_s` is how long the engine may say nothing, also while a request waits for a slot."""
        self._upstream = upstream
        self._running = running
        self._silence_s = silence_s
        self._headers = [*HEADERS, *running.headers]
        self._name = {"model": running.model} if running.model else {}

    @asynccontextmanager
    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """The events of an answer, in blocks of whole ones. Leaving the context makes the engine stop generating.

        InvalidRequest, Unavailable, UpstreamFailed or UpstreamTimeout, here and while the blocks are read.
        """
        with _failures_named():
            async with self._upstream.send(self._request(path, body)) as response:
                if response.status >= 400:
                    raise refusals.from_answer(response.status, await response.read(), prompt_field(path))
                yield sse.blocks(response.chunks())

    async def answer_once(self, model_id: str) -> None:
        """Has the engine generate one token, with logprobs: the first such request takes vLLM up to 20 s."""
        await self._post(TEXT, TEXT, {"model": model_id, "prompt": "Hello", "max_tokens": 1, "logprobs": 1})

    async def answers(self, page: str, within_s: float) -> bool:
        """Whether it answers a GET in time; an engine that has ended is no matter of time."""
        request = OutgoingRequest("GET", self._running.base_url + page, self._headers, b"", within_s)
        try:
            async with self._upstream.send(request) as response:
                await response.read()
        except TimedOut:
            return False
        except (ConnectFailed, BrokenOff):
            await asyncio.sleep(within_s)
        return True

    async def prompt_tokens(self, path: str, body: dict[str, Any]) -> int:
        """How many tokens the prompt of a request has, in the engine's count."""
        if isinstance(body.get("prompt"), list):
            return len(body["prompt"])
        if page := self._running.counts_tokens_at:
            prompt = {name: body[name] for name in COUNTED if name in body}
            return int((await self._post(page, path, prompt))["count"])
        if path == CHAT:
            prompt = {name: body[name] for name in PROMPT_FIELDS if name in body}
            return int((await self._post(CHAT + "/input_tokens", path, prompt))["input_tokens"])
        text = {"content": body["prompt"], "add_special": True}
        return len((await self._post("/tokenize", path, text))["tokens"])

    async def tokens(self, path: str, body: dict[str, Any]) -> list[int]:
        """Those of a prompt, for llama.cpp to read; none of one that is not only text."""
        prompt = body.get("prompt")
        if isinstance(prompt, list):
            return prompt
        if path == CHAT and not _is_text(body["messages"]):
            return []
        if path == CHAT:
            shown = {name: body[name] for name in PROMPT_FIELDS if name in body}
            prompt = (await self._post("/apply-template", path, shown))["prompt"]
        found: list[int] = (await self._post("/tokenize", path, {"content": prompt, "add_special": True}))["tokens"]
        return found

    async def read(self, tokens: list[int]) -> int:
        """Has llama.cpp read the beginning of a prompt, which it keeps in a slot; how many tokens it did not have."""
        body = {"prompt": tokens, "n_predict": 0, "cache_prompt": True, "response_fields": ["timings"]}
        return int((await self._post("/completion", TEXT, body))["timings"]["prompt_n"])

    async def _post(self, path: str, asked: str, body: dict[str, Any]) -> dict[str, Any]:
        with _failures_named():
            async with self._upstream.send(self._request(path, body)) as response:
                content = await response.read()
                if response.status >= 400:
                    raise refusals.from_answer(response.status, content, prompt_field(asked))
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise UpstreamFailed(detail=f"the engine's answer is not JSON: {error}") from error

    def _request(self, path: str, body: dict[str, Any]) -> OutgoingRequest:
        content = _encode(body | self._name)
        return OutgoingRequest("POST", self._running.base_url + path, self._headers, content, self._silence_s)


def prompt_field(path: str) -> str:
    """The request field that holds the prompt."""
    return "messages" if path == CHAT else "prompt"


def fewest_tokens(path: str, body: dict[str, Any]) -> int:
    """No prompt of this size has fewer tokens, whatever the model's vocabulary is."""
    if path == CHAT:
        return sum(_characters(message.get("content")) for message in body["messages"]) // LONGEST_TOKEN
    prompt = body["prompt"]
    return len(prompt) if isinstance(prompt, list) else len(prompt) // LONGEST_TOKEN


def most_tokens(path: str, body: dict[str, Any]) -> int:
    """No prompt of this size has more tokens: each takes a byte at least, and a template adds some to each message."""
    if path == CHAT:
        prompt = {name: body[name] for name in PROMPT_FIELDS if name in body}
        return len(_encode(prompt)) + MOST_TEMPLATE_TOKENS
    prompt = body["prompt"]
    return len(prompt) if isinstance(prompt, list) else len(prompt.encode()) + 1


def _characters(content: Any) -> int:
    """Of text; images and sounds are not counted."""
    if isinstance(content, list):
        return sum(len(part.get("text", "")) for part in content)
    return len(content or "")


def _is_text(messages: list[dict[str, Any]]) -> bool:
    parts = (part for message in messages if isinstance(message.get("content"), list) for part in message["content"])
    return all(part["type"] in {"text", "refusal"} for part in parts)


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except ConnectFailed as error:
        raise refusals.starting_again(str(error)) from error
    except TimedOut as error:
        raise UpstreamTimeout(detail=str(error)) from error
    except BrokenOff as error:
        raise UpstreamFailed("The model's server broke off.", detail=str(error)) from error
