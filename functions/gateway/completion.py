"""A model's finished answer as one JSON object: read from a whole answer or a stream, and told as a stream again."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec

from shared.surfaces.usage import NOT_JSON
from shared.web import sse

Json = dict[str, Any]

PIECES = {"chat.completion": "chat.completion.chunk"}
"""What an object is called in a stream, where that differs."""
WHOLES = {piece: whole for whole, piece in PIECES.items()}
SAID_ONCE = frozenset({"finish_reason", "id", "index", "name", "object", "role", "type"})
"""Texts that are not pieces of a longer one."""
NUMBERED = frozenset({"choices", "tool_calls"})
"""Lists whose items come in pieces, told apart by their `index`."""

_decode = msgspec.json.Decoder(Json).decode
_encode = msgspec.json.Encoder().encode


class CallPiece(msgspec.Struct):
    index: int


class Delta(msgspec.Struct):
    tool_calls: list[CallPiece] | None = None


class ChoicePiece(msgspec.Struct):
    index: int
    delta: Delta | None = None


class Event(msgspec.Struct):
    """What an event of a stream must be for its pieces to be put together."""

    object: str = ""
    choices: list[ChoicePiece] | None = None


class Message(msgspec.Struct):
    tool_calls: list[Json] | None = None


class Choice(msgspec.Struct):
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"]
    index: int = 0
    message: Message | None = None


class Finished(msgspec.Struct):
    """What an answer must be to be given again: the model came to an end by itself or at the limit it was given."""

    choices: Annotated[list[Choice], msgspec.Meta(min_length=1)]
    object: str = ""
    error: None = None


class CannotBeJoined(ValueError):
    """The events of a stream are not pieces of one answer."""


NO_ANSWER = (*NOT_JSON, CannotBeJoined)
"""What reading one may raise: an upstream can say anything."""


def from_whole(body: bytes) -> Json | None:
    """The answer, if it is one and the model finished it."""
    try:
        return _finished(_decode(body))
    except NO_ANSWER:
        return None


def from_stream(body: bytes) -> Json | None:
    """The answer that a stream tells, if it ended well and the model finished it; in the shape of a whole answer."""
    payloads = list(sse.payloads(body))
    if not payloads or payloads.pop() != sse.DONE:
        return None
    try:
        return _finished(_joined([_event(payload) for payload in payloads]))
    except NO_ANSWER:
        return None


def to_stream(answer: Json, *, with_usage: bool) -> bytes:
    """The answer as the body of a stream."""
    common = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    common["object"] = PIECES.get(common.get("object", ""), common.get("object"))
    usage = {"usage": None} if with_usage else {}
    events = [{**common, "choices": [piece], **usage} for choice in answer["choices"] for piece in _pieces(choice)]
    if with_usage and answer.get("usage"):
        events.append({**common, "choices": [], "usage": answer["usage"]})
    return b"".join(map(sse.event, (*map(_encode, events), sse.DONE)))


def stream_ended_well(body: bytes) -> bool:
    """Whether a stream came to its end, and tells of no error."""
    payloads = list(sse.payloads(body))
    return bool(payloads) and payloads[-1] == sse.DONE and not any(map(tells_error, payloads))


def tells_error(payload: bytes) -> bool:
    """Whether an event is an error, or cannot be read at all."""
    if b'"error"' not in payload:
        return False
    try:
        return bool(_decode(payload).get("error"))
    except NO_ANSWER:
        return True


def _finished(answer: Json) -> Json:
    msgspec.convert(answer, Finished)
    return answer


def _event(payload: bytes) -> Json:
    event = _decode(payload)
    msgspec.convert(event, Event)
    return event


def _joined(events: Sequence[Json]) -> Json:
    """The whole answer of a stream's events. What only the first or the last of them says is said of the whole."""
    answer: Json = {}
    for event in events:
        for name, value in event.items():
            if value is not None and (name == "usage" or name not in answer):
                answer[name] = value
    answer["object"] = WHOLES.get(answer.get("object", ""), answer.get("object"))
    choices = _join("choices", [event.get("choices") for event in events])
    answer["choices"] = [_whole(choice) for choice in choices or ()]
    return answer


def _whole(choice: Json) -> Json:
    """A choice whose pieces are put together, as a whole answer has it."""
    delta = choice.pop("delta", None)
    if delta is None:
        return choice
    for call in delta.get("tool_calls") or ():
        del call["index"]
    message = {"role": "assistant", "content": None, "refusal": None, "annotations": [], **delta}
    if delta.get("tool_calls") and not message["content"]:
        message["content"] = None
    return {"index": choice.pop("index"), "message": message, **choice}


def _join(name: str, pieces: Sequence[Any]) -> Any:
    """One value of its pieces: texts and lists one after the other, objects field by field."""
    said = [piece for piece in pieces if piece is not None]
    if not said:
        return None
    if all(isinstance(piece, dict) for piece in said):
        return _join_fields(said)
    if all(isinstance(piece, list) for piece in said):
        items = [item for piece in said for item in piece]
        return _join_numbered(items) if name in NUMBERED else items
    if name not in SAID_ONCE and all(isinstance(piece, str) for piece in said):
        return "".join(said)
    first, *rest = [piece for piece in said if piece != ""] or [""]
    if any(piece != first for piece in rest):
        raise CannotBeJoined(name)
    return first


def _join_fields(objects: Sequence[Json]) -> Json:
    pieces: dict[str, list[Any]] = {}
    for each in objects:
        for name, value in each.items():
            pieces.setdefault(name, []).append(value)
    return {name: _join(name, values) for name, values in pieces.items()}


def _join_numbered(items: Sequence[Any]) -> list[Json]:
    numbered: dict[int, list[Json]] = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("index"), int):
            raise CannotBeJoined("index")
        numbered.setdefault(item["index"], []).append(item)
    return [_join_fields(numbered[index]) for index in sorted(numbered)]


def _pieces(choice: Json) -> Iterator[Json]:
    """A choice in pieces: who speaks, all that it says, and that it has finished."""
    nothing: Json = {"text": ""}
    said = dict(choice)
    if message := said.pop("message", None):
        nothing = {"delta": {}}
        opening = {"role": "assistant", "content": None if message.get("content") is None else "", "refusal": None}
        yield {"index": choice.get("index", 0), "delta": opening, "logprobs": None, "finish_reason": None}
        said["delta"] = _delta(message)
    yield {**said, "finish_reason": None}
    yield {"index": choice.get("index", 0), **nothing, "logprobs": None, "finish_reason": choice["finish_reason"]}


def _delta(message: Json) -> Json:
    delta = {name: value for name, value in message.items() if value not in (None, []) and name != "role"}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": position, **call} for position, call in enumerate(calls)]
    return delta
