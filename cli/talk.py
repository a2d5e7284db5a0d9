"""An answer of a model as it comes, and how fast it came."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cli.answers import Chunk, Usage
from cli.client import Client, EventStream
from cli.errors import BrokenOff, CliError, Refused
from shared.web.sse import DONE

PATH = "/v1/chat/completions"
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Style:
    """How to answer; what is None is left to the platform."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = None
    schema: dict[str, Any] | None = None
    """JSON Schema that the answer has to satisfy."""

    def request(self, messages: list[Message]) -> dict[str, Any]:
        """The body of a request for a streamed answer to `messages`."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.schema is not None:
            json_schema = {"name": "answer", "schema": self.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        return body


@dataclass(slots=True)
class Spoken:
    """Iterating gives the text as it arrives; the rest is known as far as the answer came."""

    _events: EventStream
    _monotonic: Callable[[], float]
    _asked_at: float
    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    _arrivals: list[float] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        for line in self._events.data:
            if line == DONE:
                return
            if piece := self._read(line):
                self._arrivals.append(self._monotonic())
                self.text += piece
                yield piece
        raise BrokenOff("The answer stopped before its end: the stream closed without [DONE].")

    def _read(self, line: bytes) -> str:
        chunk = _decode(line)
        if chunk.error:
            raise Refused(
                chunk.error.message,
                status=0,
                code=chunk.error.code or "",
                request_id=chunk.request_id or self._events.headers.get("x-request-id", ""),
                headers={},
            )
        self.usage = chunk.usage or self.usage
        if not chunk.choices:
            return ""
        self.finish_reason = chunk.choices[0].finish_reason or self.finish_reason
        return chunk.choices[0].delta.content or ""

    @property
    def content_type(self) -> str:
        return self._events.headers.get("content-type", "")

    @property
    def first_token_s(self) -> float | None:
        """From asking to the first text; None when there was none."""
        return self._arrivals[0] - self._asked_at if self._arrivals else None

    @property
    def tokens_per_s(self) -> float | None:
        """After the first one; None when the platform counted none, or too few to tell."""
        if self.usage is None or not self._arrivals or self._arrivals[-1] <= self._arrivals[0]:
            return None
        return (self.usage.completion_tokens - 1) / (self._arrivals[-1] - self._arrivals[0])

    @property
    def speed(self) -> str:
        """What was measured, as a sentence fragment."""
        known = []
        if self.first_token_s is not None:
            known.append(f"first token after {self.first_token_s:.2f} s")
        if self.usage is not None:
            known.append(f"{self.usage.prompt_tokens} tokens in, {self.usage.completion_tokens} out")
        if self.tokens_per_s is not None:
            known.append(f"{self.tokens_per_s:.1f} tokens/s")
        return ", ".join(known) or "no text came"


@contextmanager
def asking(client: Client, style: Style, messages: list[Message]) -> Iterator[Spoken]:
    """Asks, and gives the answer while it comes; leaving the context stops it."""
    asked_at = client.monotonic()
    with client.stream(PATH, style.request(messages)) as events:
        yield Spoken(events, client.monotonic, asked_at)


def _decode(line: bytes) -> Chunk:
    try:
        return msgspec.json.decode(line, type=Chunk)
    except msgspec.DecodeError as error:
        raise CliError(f"The stream holds what this version of omni cannot read: {error}") from None
