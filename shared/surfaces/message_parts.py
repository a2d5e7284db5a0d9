"""The parts of a conversation's messages: text, and what is no text."""

from collections.abc import Iterator

import msgspec

from shared.surfaces.usage import NOT_JSON

Fields = dict[str, msgspec.Raw]


class WithContent(msgspec.Struct, gc=False):
    content: str | list[msgspec.Raw] | None = None


_contents = msgspec.json.Decoder(list[WithContent]).decode
_messages = msgspec.json.Decoder(list[Fields]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_fields = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


def of(messages: msgspec.Raw) -> Iterator[Fields]:
    """Each part of each message whose content is a list of parts, as its fields. None of what is no conversation."""
    try:
        contents = [message.content for message in _contents(messages)] if messages else []
    except NOT_JSON:  # something in it is of another kind
        contents = [_items(fields(message).get("content", msgspec.Raw())) for message in _items(messages)]
    for content in contents:
        if content.__class__ is list:
            yield from map(fields, content)


def rewritten(messages: msgspec.Raw) -> msgspec.Raw:
    """The same messages with each field once, down to those of their parts."""
    try:
        return _raw([_with_parts(each) for each in _messages(messages)])
    except NOT_JSON:
        return _raw([_message(each) for each in _items(messages)]) if _begins(messages, b"[") else messages


def fields(raw: msgspec.Raw) -> Fields:
    """Of an object; none of what is not one."""
    try:
        return _fields(raw) if _begins(raw, b"{") else {}
    except NOT_JSON:
        return {}


def _message(raw: msgspec.Raw) -> msgspec.Raw | Fields:
    return _with_parts(fields(raw)) if _begins(raw, b"{") else raw


def _with_parts(message: Fields) -> Fields:
    content = message.get("content", msgspec.Raw())
    if _begins(content, b"["):
        message["content"] = _raw([_part(part) for part in _items(content)])
    return message


def _part(raw: msgspec.Raw) -> msgspec.Raw | Fields:
    if not _begins(raw, b"{"):
        return raw
    return {name: _raw(fields(value)) if _begins(value, b"{") else value for name, value in fields(raw).items()}


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _list(raw)
    except NOT_JSON:
        return []


def _begins(raw: msgspec.Raw, mark: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == mark


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
