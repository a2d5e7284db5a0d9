"""What an upstream answers, event by event: looked at before anything of it goes to the caller.

    head ─▸ looking ─▸ streaming ─▸ done
      └───▸ whole ────────────────▸ done

While `looking`, the events of a stream are held until one of them brings something that a model generated; a `whole`
answer is held to its end. So a failure found until then is the upstream's alone: another one can be asked, and the
caller never sees it. What the caller wished decides what goes out: a whole answer that is to be a stream becomes one,
and the other way round.

The machine waits for nothing and sends nothing: who drives it hands it what happened, and sends on what it returns.
"""

from enum import Enum
from typing import NamedTuple

import msgspec

from functions.gateway.charge import comment
from functions.gateway.completion import NO_ANSWER, joined, to_stream
from functions.gateway.inference.answer_meter import NO_PART, AnswerMeter, Part
from functions.gateway.upstream_errors import from_error_object, stated_status
from shared.core.errors import OmniError, UpstreamFailed
from shared.surfaces import answers, usage
from shared.surfaces.answers import EventKind
from shared.surfaces.surface import Surface
from shared.web import sse
from shared.web.sse import EventReader

EVENT_STREAM = b"text/event-stream"
EVENTS_BEGIN = (b"data:", b"event:", b"id:", b"retry:", b":")
MOST_HELD_EVENTS_BYTES = 1024 * 1024
"""Of events that bring nothing yet: a server that sends more of them has begun to answer."""
END = Part(sse.LAST, sse.LAST)


class ReplyState(Enum):
    HEAD = "head"
    LOOKING = "looking"
    WHOLE = "whole"
    STREAMING = "streaming"
    DONE = "done"


class ReplyFailed(Exception):
    """The upstream gave no answer, or broke off in the middle of one."""

    def __init__(self, error: OmniError, last: Part = NO_PART, *, is_admitted: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.is_admitted = is_admitted
        """Whether the upstream says itself that its server failed."""
        self.last = last
        """What came before, and goes to the caller all the same."""


class Wanted(NamedTuple):
    """What the caller is to get."""

    surface: Surface
    is_stream: bool
    choices: int = 1
    """How many there are: each has an end of its own."""
    is_trusted: bool = False
    """Whether the upstream is our own, whose errors may be passed on."""
    most_event_bytes: int = sse.MOST_EVENT_BYTES
    most_whole_bytes: int = 32 * 1024 * 1024


class ReplyMachine:
    """Of one attempt. Its methods may raise ReplyFailed; after that, and in the state `done`, nothing may follow."""

    def __init__(self, wanted: Wanted, meter: AnswerMeter, content_type: bytes) -> None:
        """`content_type` is what the head of a 2xx says that it is."""
        self.state = ReplyState.HEAD
        self.content = b""
        """The whole answer, when that was wanted and the state is `done`."""
        self.cost: str | None = None
        """Of that one, in dollars."""
        self._wanted = wanted
        self._meter = meter
        self.says_events = content_type.strip().lower().startswith(EVENT_STREAM)
        self._reader = EventReader(wanted.most_event_bytes)
        self._held = bytearray()
        self._head = b""
        """The payload of the first event."""
        self._finished: set[int] = set()

    @property
    def held(self) -> bytearray:
        """What `end` has to look through."""
        return self._held

    @property
    def has_begun(self) -> bool:
        """Whether anything of it may have gone to the caller."""
        return self._wanted.is_stream and self.state in (ReplyState.STREAMING, ReplyState.DONE)

    def is_plain(self, data: bytes) -> bool:
        """Whether these bytes are whole parts of a stream that has begun, and nothing else, as `feed_plain` takes
        them."""
        if self.state is not ReplyState.STREAMING or not self._wanted.is_stream:
            return False
        is_more = usage.MARK in data or answers.ERROR_MARK in data or sse.DONE in data
        return not is_more and self._reader.is_whole(data)

    def feed(self, data: bytes) -> Part:
        """Bytes of the body have come. What goes to the caller now."""
        if self.state is ReplyState.HEAD:
            data = self._begin(data)
        if self.state in (ReplyState.HEAD, ReplyState.WHOLE):
            return self._hold(data)
        try:
            block = self._reader.feed(data)
        except UpstreamFailed as error:
            raise ReplyFailed(error) from None
        return self._take(block) if block else NO_PART

    def feed_plain(self, data: bytes) -> Part:
        """As `feed`, which would find nothing to look for in them."""
        return self._pass_on(data)

    def end(self) -> Part:
        """The body has come to its end."""
        if self.state in (ReplyState.HEAD, ReplyState.WHOLE):
            return self._end_whole(bytes(self._held))
        if last := self._reader.close():
            return self._take(last)
        if self.state is ReplyState.LOOKING:
            raise self._no_answer("a stream without an answer")
        if not self._is_finished:
            raise ReplyFailed(UpstreamFailed("The model's server ended the stream early."))
        return self._finish()

    def lost(self, error: OmniError) -> Part:
        """The connection broke, with this error. A stream that is finished is an answer all the same."""
        if self.state is ReplyState.STREAMING and (self._is_finished or self._reader.close()):
            return self.end()
        raise ReplyFailed(error)

    @property
    def _is_finished(self) -> bool:
        return len(self._finished) >= self._wanted.choices

    def _begin(self, data: bytes) -> bytes:
        """Tells by its first bytes what it is: servers mix up what they call it."""
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        if data.startswith(b"{"):
            self.state = ReplyState.WHOLE
            return data
        begin = data.lstrip().removeprefix(sse.BYTE_ORDER_MARK)
        if begin and (self.says_events or not any(each.startswith(begin) for each in EVENTS_BEGIN)):
            is_object = begin.startswith((b"{", b"[", b"<"))
            is_stream = begin.startswith(EVENTS_BEGIN) or (self.says_events and not is_object)
            self.state = ReplyState.LOOKING if is_stream else ReplyState.WHOLE
        return data

    def _hold(self, data: bytes) -> Part:
        self._held += data
        if len(self._held) > self._wanted.most_whole_bytes:
            text = f"The model's server sent an answer of more than {self._wanted.most_whole_bytes} bytes."
            raise ReplyFailed(UpstreamFailed(text, code="upstream_answer_too_large"))
        return NO_PART

    # A stream

    def _take(self, block: bytes) -> Part:
        """Whole events have come; those after the end are nobody's."""
        is_end = sse.ends(block)
        if is_end:
            block, _ = sse.parted(block)
        if self.state is ReplyState.LOOKING:
            if not self._has_begun_with(block, is_end=is_end):
                self._meter.look(block)
                return self._hold(block)
            block = bytes(self._held) + block
            self._held.clear()
        if answers.has_error(block):
            raise self._broken(block)
        self.state = ReplyState.STREAMING
        part = self._pass_on(block)
        return part + self._finish() if is_end else part

    def _has_begun_with(self, block: bytes, *, is_end: bool) -> bool:
        """Whether these events bring what a model generated, or an error. ReplyFailed when they bring no answer."""
        kind = answers.kind_of_block(block)
        if kind is EventKind.UNREADABLE:
            raise self._no_answer("an event that is no JSON")
        if kind is EventKind.NOTHING_YET and is_end:
            raise self._no_answer("a stream without an answer")
        return kind is not EventKind.NOTHING_YET or len(self._held) > MOST_HELD_EVENTS_BYTES

    def _pass_on(self, block: bytes) -> Part:
        if not block:
            return NO_PART
        if not self._head:
            self._head = next(sse.payloads(block), b"")
        if answers.may_be_finish(block):
            self._finished |= answers.finished_choices(block)
        part = self._meter.take(block)
        return part if self._wanted.is_stream else self._hold(block)

    def _finish(self) -> Part:
        self.state = ReplyState.DONE
        part = self._meter.close(self._head)
        if self._wanted.is_stream:
            return part + END
        try:
            self.content = msgspec.json.encode(joined(bytes(self._held)))
        except NO_ANSWER:
            raise self._no_answer("events that make no answer") from None
        self.cost = self._meter.cost()
        return NO_PART

    def _broken(self, block: bytes) -> ReplyFailed:
        """An error among events, of which those before it are still the answer's."""
        before, error = b"", b""
        for event in sse.events(block):
            error = next(filter(answers.is_error, sse.payloads(event)), b"")
            if error:
                break
            before += event
        if answers.kind_of_block(before) is not EventKind.NOTHING_YET:
            self.state = ReplyState.STREAMING
        last = self._pass_on(before) if self.has_begun else NO_PART
        return self._failed(error, last)

    # A whole answer

    def _end_whole(self, content: bytes) -> Part:
        if fault := self._wanted.surface.fault_of_whole(content):
            raise self._failed(content) if fault == answers.ERROR_OBJECT else self._no_answer(fault)
        self.cost = self._meter.whole(content)
        self.state = ReplyState.DONE
        if not self._wanted.is_stream:
            self.content = content
            return NO_PART
        events = to_stream(msgspec.json.decode(content), with_usage=self._meter.wants_usage)
        return Part(comment(self.cost) + events, events)

    @staticmethod
    def _no_answer(fault: str) -> ReplyFailed:
        return ReplyFailed(UpstreamFailed(detail=f"it sent {fault}"))

    def _failed(self, error: bytes, last: Part = NO_PART) -> ReplyFailed:
        found = from_error_object(error, is_trusted=self._wanted.is_trusted)
        return ReplyFailed(found, last, is_admitted=stated_status(error) >= OmniError.status)
