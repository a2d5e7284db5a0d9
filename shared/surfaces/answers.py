"""Tells what an upstream sent with the status 200: an answer of its surface, a failure, or nothing yet.

Servers send errors, web pages, empty and halved answers with a status that says that all is well. So a whole answer,
and the first events of a stream, are looked at before a byte of them goes to the caller.
"""

from enum import Enum

import msgspec

from shared.surfaces.usage import NOT_JSON
from shared.web import sse

NULL = msgspec.Raw(b"null")
Fields = dict[str, msgspec.Raw]
ERROR_OBJECT = "an error object"
ERROR_MARK = b'"error"'
FAILED = "error"
"""As a `finish_reason`, beside those that OpenAI has: the model's server failed."""


class WholeChoice(msgspec.Struct, gc=False):
    message: Fields | None = None
    text: str | None = None
    error: msgspec.Raw = NULL
    finish_reason: str | None = None


class Whole(msgspec.Struct, gc=False):
    choices: list[WholeChoice] | None = None
    error: msgspec.Raw = NULL


class EventChoice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Fields | None = None
    text: str | None = None
    error: msgspec.Raw = NULL
    finish_reason: str | None = None


class Event(msgspec.Struct, gc=False):
    choices: list[EventChoice] | None = None
    error: msgspec.Raw = NULL
    object: str | None = None


class EventKind(Enum):
    NOTHING_YET = "nothing_yet"
    """A role, an empty text or no choice: nothing that a model generated."""
    PART = "part"
    """A part of an answer."""
    FINISH = "finish"
    """Of one of its choices."""
    ERROR = "error"
    UNREADABLE = "unreadable"
    """No JSON object."""


_whole = msgspec.json.Decoder(Whole).decode
_event = msgspec.json.Decoder(Event).decode
_fields = msgspec.json.Decoder(Fields).decode
NOTHING_SAID = frozenset({b"null", b'""', b"[]", b"{}"})


def fault_of_whole(content: bytes) -> str:
    """Why this is no whole answer of a chat or a completion; empty when it is one."""
    if not content.strip():
        return "an empty body"
    try:
        found = _whole(content)
    except NOT_JSON:
        return "a body that is no answer: neither JSON nor of its shape"
    if _is_error(found.error):
        return ERROR_OBJECT
    if not found.choices:
        return "no choices"
    for choice in found.choices:
        if _is_error(choice.error) or choice.finish_reason == FAILED:
            return "a choice that failed"
        if choice.message is None and choice.text is None:
            return "a choice without a message"
    return ""


def kind_of_event(payload: bytes) -> EventKind:
    """What an event of a stream brings; without a `choices` field it is nothing yet, unless it is an error."""
    try:
        found = _event(payload)
    except NOT_JSON:
        return _kind_of_odd_event(payload)
    choices = found.choices or ()
    if (
        _is_error(found.error)
        or found.object == FAILED
        or any(_is_error(each.error) or each.finish_reason == FAILED for each in choices)
    ):
        return EventKind.ERROR
    if any(each.finish_reason for each in choices):
        return EventKind.FINISH
    return EventKind.PART if any(map(_says_something, choices)) else EventKind.NOTHING_YET


def _kind_of_odd_event(payload: bytes) -> EventKind:
    """Of an event whose fields have other types than everybody's: it passes, for clients may know what it is."""
    try:
        found = _fields(payload)
    except NOT_JSON:
        return EventKind.UNREADABLE
    return EventKind.ERROR if _is_error(found.get("error", NULL)) else EventKind.PART


def kind_of_block(block: bytes) -> EventKind:
    """The kind that decides about events of a stream: an error among them, else the first that brings anything."""
    kinds = [kind_of_event(payload) for payload in sse.payloads(block) if payload and payload != sse.DONE]
    if EventKind.ERROR in kinds:
        return EventKind.ERROR
    return next((kind for kind in kinds if kind is not EventKind.NOTHING_YET), EventKind.NOTHING_YET)


def finished_choices(block: bytes) -> set[int]:
    """The choices that end in these events, by their index."""
    found: set[int] = set()
    for payload in sse.payloads(block):
        try:
            choices = _event(payload).choices or ()
        except NOT_JSON:
            continue
        found |= {choice.index for choice in choices if choice.finish_reason}
    return found


def has_error(block: bytes) -> bool:
    """Whether an error is among these events. What has the word and cannot be read is taken for one."""
    return ERROR_MARK in block and any(map(is_error, sse.payloads(block)))


def is_error(payload: bytes) -> bool:
    return ERROR_MARK in payload and kind_of_event(payload) in (EventKind.ERROR, EventKind.UNREADABLE)


def may_be_finish(block: bytes) -> bool:
    return b'"finish_reason":"' in block or b'"finish_reason": "' in block


def _is_error(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in NOTHING_SAID and bytes(raw) != b"false"


def _says_something(choice: EventChoice) -> bool:
    if choice.text:
        return True
    return any(name != "role" and bytes(value) not in NOTHING_SAID for name, value in (choice.delta or {}).items())
