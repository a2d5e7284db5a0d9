"""Counts what came of an answer while it passes: its events, the bytes that the model generated, the usage reported.

An event of the usual shape is decoded into the few fields that hold text; anything else is searched for texts. Whatever
stands in a JSON string has its quotes escaped, so a text never looks like one of the fields.
"""

import re
from typing import Any

import msgspec

from shared.core.tokens import BYTES_PER_TOKEN
from shared.surfaces.usage import NOT_JSON, NOTHING, Usage, read
from shared.web import sse

_TEXT_BEGINS = re.compile(
    rb'"(?:content|text|arguments|reasoning|reasoning_content|thinking|refusal|transcript)"\s*:\s*"'
)
"""Texts of answers, tool calls and thoughts."""
_IN_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
PIECE_BYTES = 64 * 1024
"""Of a text that are looked at in one go, in which no other thread gets its turn."""


NULL = msgspec.Raw(b"null")


class FunctionPart(msgspec.Struct, gc=False):
    arguments: str | None = None


class CallPart(msgspec.Struct, gc=False):
    function: FunctionPart | None = None


class Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPart] | None = None
    function_call: FunctionPart | None = None

    @property
    def has_more(self) -> bool:
        """Than its content."""
        return bool(
            self.tool_calls
            or self.reasoning_content
            or self.reasoning
            or self.refusal
            or self.function_call is not None
        )


class ChoicePart(msgspec.Struct, gc=False):
    delta: Delta | None = None
    text: str | None = None


class Event(msgspec.Struct, gc=False):
    choices: list[ChoicePart]
    error: msgspec.Raw = NULL
    usage: msgspec.Raw = NULL

    @property
    def is_part(self) -> bool:
        """Of an answer: neither an error nor mere usage."""
        return _is_null(self.error) and (bool(self.choices) or _is_null(self.usage))


def _is_null(raw: msgspec.Raw) -> bool:
    return raw is NULL or bytes(raw) == b"null"


_event = msgspec.json.Decoder(Event).decode
_text = msgspec.json.Decoder(str).decode


class AnswerTally:
    """Of one answer, whole or streamed."""

    __slots__ = ("_bytes", "_bytes_at_report", "_events", "is_own", "reports_as_it_goes", "usage")

    def __init__(self, *, is_own: bool = False) -> None:
        self.usage: Usage = NOTHING
        self.is_own = is_own
        """Whether the platform's own worker answers, whose comments are believed."""
        self.reports_as_it_goes = False
        """Whether it has reported usage in one: then it does so for all that is not an event a token."""
        self._events = 0
        self._bytes = 0
        """Both since output was last reported; a 0 is taken for a report that comes before it."""
        self._bytes_at_report = 0

    def take(self, block: bytes) -> None:
        """Counts whole events of a stream, without their usage: comments, errors and the end are none."""
        try:
            self._count(_event(block[6:] if block.startswith(b"data: {") else b""))  # as a rule it is one event
        except NOT_JSON:
            for payload in sse.payloads(block):
                self._take_event(payload)

    def take_whole(self, body: bytes) -> None:
        """Counts an answer in one piece; of one whose texts stand in no known place, all of it."""
        self._bytes += generated_bytes(body) or len(body)

    def take_comment(self, comment: bytes) -> bool:
        """Notes the usage that the platform's own worker reports in a comment; whether it is such a one."""
        if not self.is_own or not comment.startswith(b":") or (reported := read(comment[1:])) is None:
            return False
        self.reports_as_it_goes = True
        self.note(reported)
        return True

    def note(self, usage: Usage) -> None:
        """The server reports the usage of all that came until now."""
        self.usage = self.usage.then(usage)
        if usage.output:
            self._events = self._bytes = 0
        self._bytes_at_report = self._bytes

    @property
    def is_silent(self) -> bool:
        """Whether the server has reported nothing, or nothing but zeros."""
        return not self.usage.input and not self.usage.output

    @property
    def has_output(self) -> bool:
        """Whether the output was reported."""
        return self.usage.output is not None and not self.is_silent

    @property
    def came(self) -> bool:
        """Whether there is anything to charge for."""
        return bool(self._events or self._bytes or self.usage.input or self.usage.output)

    @property
    def output(self) -> int:
        """Tokens generated: those reported, and those that came since or were never reported."""
        return (self.usage.output or 0) + self._unreported

    @property
    def final_output(self) -> int:
        """The same of an answer that has come to its end: the last report counts, unless it was made too early."""
        if not self.has_output:
            return self.output
        is_late = self._bytes == self._bytes_at_report
        return max(self.usage.output or 0, 0 if is_late else self._unreported)

    @property
    def _unreported(self) -> int:
        if not self._bytes or self.reports_as_it_goes:
            return self._events
        return max(self._events, self._bytes // BYTES_PER_TOKEN, 1)

    def _take_event(self, payload: bytes) -> None:
        if not payload or payload == sse.DONE:
            return
        try:
            self._count(_event(payload))
        except NOT_JSON:
            self._search(payload)

    def _count(self, event: Event) -> None:
        if event.is_part:
            self._events += 1
            for choice in event.choices:
                if (delta := choice.delta) is None:
                    self._add(choice.text)
                else:
                    self._add(delta.content)
                    if delta.has_more:
                        self._take_more(delta)

    def _take_more(self, delta: Delta) -> None:
        for text in (delta.reasoning_content or delta.reasoning, delta.refusal):
            self._add(text)
        calls: list[Any] = [call.function for call in delta.tool_calls or ()]
        for function in (*calls, delta.function_call):
            self._add(function and function.arguments)

    def _add(self, text: str | None) -> None:
        if text:
            self._bytes += len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))

    def _search(self, payload: bytes) -> None:
        """An event of another shape."""
        if (generated := generated_bytes(payload)) or (b'"error"' not in payload and b'"choices"' in payload):
            self._events += 1
            self._bytes += generated


def generated_bytes(content: bytes) -> int:
    """Of all texts that the model generated, as UTF-8."""
    found, at = 0, 0
    while begins := _TEXT_BEGINS.search(content, at):
        at = _end_of_text(content, begins.end())
        found += _length(content[begins.end() : at])
    return found


def _end_of_text(content: bytes, at: int) -> int:
    """Where the text that goes on at `at` has its quote, or the content its end."""
    while (piece := _IN_TEXT.match(content, at, at + PIECE_BYTES)) and piece.end() > at:
        at = piece.end()
    return at


def _length(text: bytes) -> int:
    if b"\\" not in text:
        return len(text)
    try:
        return len(_text(b'"%b"' % text).encode())
    except (*NOT_JSON, UnicodeError):
        return len(text)
