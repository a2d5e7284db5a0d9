"""A model's finished answer as one JSON object: read from a whole answer or a stream, and told as a stream again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from shared.surfaces.usage import NOT_JSON
from shared.web import sse

Json = dict[str, Any]

PIECES = {"chat.completion": "chat.completion.chunk"}
"""What an object is called in a stream, where that differs."""
WHOLES = {piece: whole for whole, piece in PIECES.items()}

# How the pieces of a field become one value. A field in none of these sets is kept only if it says the same each time.
TEXTS = frozenset(
    {"arguments", "content", "data", "reasoning", "reasoning_content", "refusal", "text", "thinking", "transcript"}
)
"""One after the other."""
LISTS = frozenset(
    {"annotations", "images", "reasoning_details", "text_offset", "token_logprobs", "tokens", "top_logprobs"}
)
"""One after the other, as `content` and `refusal` where they are lists: those of logprobs."""
NUMBERED = frozenset({"choices", "tool_calls"})
"""Lists whose items come in pieces, told apart by their `index`."""
OBJECTS = frozenset({"audio", "delta", "function", "function_call", "logprobs"})
"""Field by field."""
FIRST = frozenset({"created", "id", "model", "object", "system_fingerprint"})
"""The first that says something: some servers leave it empty in the first events, or count it on."""
LATEST = frozenset({"content_filter_offsets", "content_filter_results", "finish_reason", "service_tier", "usage"})

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
        return _finished(_joined([_event(payload) for payload in payloads], Join(is_strict=True)))
    except NO_ANSWER:
        return None


def joined(body: bytes) -> Json:
    """The answer that a stream tells, for a caller who wanted it whole: of what cannot be put together the latest.

    CannotBeJoined or what NOT_JSON names, when it is none at all."""
    payloads = [payload for payload in sse.payloads(body) if payload != sse.DONE]
    return _joined([_event(payload) for payload in payloads], Join(is_strict=False))


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


def _joined(events: Sequence[Json], join: "Join") -> Json:
    """The whole answer of a stream's events."""
    answer = join.fields(events)
    answer["object"] = WHOLES.get(answer.get("object", ""), answer.get("object"))
    answer["choices"] = [_whole(choice) for choice in answer.get("choices") or ()]
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


@dataclass(frozen=True, slots=True)
class Join:
    """Puts pieces together. Where that cannot be done: CannotBeJoined if it is strict, else the latest piece."""

    is_strict: bool

    def fields(self, objects: Sequence[Json]) -> Json:
        pieces: dict[str, list[Any]] = {}
        for each in objects:
            for name, value in each.items():
                pieces.setdefault(name, []).append(value)
        return {name: self._value(name, values) for name, values in pieces.items()}

    def _value(self, name: str, pieces: Sequence[Any]) -> Any:
        said = [piece for piece in pieces if piece is not None]
        if not said:
            return None
        if name in LATEST:
            return said[-1]
        if name in FIRST:
            return next((piece for piece in said if piece), said[0])
        if name in OBJECTS and _are(dict, said):
            return self.fields(said)
        if name in NUMBERED and _are(list, said):
            return self._numbered([item for piece in said for item in piece])
        if name in TEXTS and _are(str, said):
            return "".join(said)
        if name in LISTS | TEXTS and _are(list, said):
            return [item for piece in said for item in piece]
        return self._same(name, said)

    def _same(self, name: str, said: Sequence[Any]) -> Any:
        first, *rest = [piece for piece in said if piece != ""] or [""]
        if self.is_strict and any(piece != first for piece in rest):
            raise CannotBeJoined(name)
        return rest[-1] if rest else first

    def _numbered(self, items: Sequence[Any]) -> list[Json]:
        numbered: dict[int, list[Json]] = {}
        for item in items:
            if not isinstance(item, dict) or not isinstance(item.get("index"), int):
                raise CannotBeJoined("index")
            numbered.setdefault(item["index"], []).append(item)
        return [self.fields(numbered[index]) for index in sorted(numbered)]


def _are(kind: type, pieces: Sequence[Any]) -> bool:
    return all(isinstance(piece, kind) for piece in pieces)


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
