"""Counts what an answer used while it passes, and says what it cost as the answer tells it."""

from dataclasses import dataclass
from typing import Any

import msgspec

from functions.gateway.charge import comment
from functions.gateway.exchange import Exchange
from shared.surfaces import usage
from shared.surfaces.usage import NOT_JSON
from shared.web import sse

OBJECT_END, EMPTY_END, WITH_NULL_USAGE = b"}\n\n", b"{}\n\n", b',"usage":null}\n\n'
"""How an object at the end of an event ends."""


@dataclass(frozen=True, slots=True)
class Part:
    """Of a stream."""

    passed: bytes = b""
    """For the caller."""
    kept: bytes = b""
    """For those who are given the same answer later: without what this one cost."""

    def __add__(self, other: "Part") -> "Part":
        return Part(self.passed + other.passed, self.kept + other.kept)


NO_PART = Part()


class UsageEvent(msgspec.Struct):
    usage: dict[str, msgspec.Raw]
    choices: list[msgspec.Raw] | None = None


_decode_usage_event = msgspec.json.Decoder(UsageEvent).decode
_decode_event = msgspec.json.Decoder(dict[str, Any]).decode


class AnswerMeter:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def wants_usage(self) -> bool:
        """Whether the caller of a stream has asked for its token counts."""
        return bool(self._exchange.asked and self._exchange.asked.wants_usage)

    def whole(self, content: bytes) -> str | None:
        """Counts a whole answer; its cost in dollars, None when it has none."""
        tally = self._exchange.tally
        if reported := usage.read(content):
            tally.note(reported)
        if not tally.has_output:
            tally.take_whole(content)
        self.settle(ended=True)
        return self.cost()

    def take(self, block: bytes) -> Part:
        """Counts whole events of a stream, and takes out those that tell nothing but a usage not asked for."""
        if usage.MARK not in block:
            self._exchange.tally.take(block)
            block = self._completed(block)
            return Part(block, block)
        passed, kept = [], []
        for event in sse.events(block):
            if self._exchange.tally.take_comment(event):
                continue
            if not self._tells_only_usage(event):
                passed.append(event if usage.MARK in event else self._completed(event))
                kept.append(passed[-1])
            elif self.wants_usage:
                passed.append(self._with_cost(event))
                kept.append(event)
        return Part(b"".join(passed), b"".join(kept))

    def look(self, block: bytes) -> None:
        """Counts what our own worker reports in comments, of events that do not pass yet."""
        if usage.MARK in block:
            for event in sse.events(block):
                self._exchange.tally.take_comment(event)

    def close(self, head: bytes) -> Part:
        """What goes before the end of a stream: the usage that was asked for and not reported, and the cost in a
        comment, which clients pass over. `head` is the payload of one of its events."""
        part = self._estimate(head) if self.wants_usage and not self._exchange.tally.has_output else NO_PART
        self.settle(ended=True)
        cost = self.cost()
        return part + Part(comment(cost)) if cost else part

    def settle(self, *, ended: bool) -> None:
        """The tokens of an answer that has ended, or of what came of it before it broke off or its caller left."""
        exchange, tally = self._exchange, self._exchange.tally
        if not tally.came:
            return
        reported = tally.usage
        exchange.tokens_in = exchange.estimated_input if tally.is_silent or reported.input is None else reported.input
        exchange.tokens_out = tally.final_output if ended else tally.output
        exchange.tokens_cached = reported.cached or 0
        exchange.usage_is_estimated = not (ended and tally.has_output and reported.input is not None)

    def cost(self) -> str | None:
        charge = self._exchange.charge
        return charge.note_answer() if charge else None

    def _completed(self, block: bytes) -> bytes:
        """Events without usage, for a caller who has asked for it: OpenAI's say so."""
        if not self.wants_usage or b'"error"' in block:
            return block
        if EMPTY_END in block:
            return b"".join(
                event if event.endswith(EMPTY_END) else self._completed(event) for event in sse.events(block)
            )
        return block.replace(OBJECT_END, WITH_NULL_USAGE)

    def _estimate(self, head: bytes) -> Part:
        """Usage as an event, as far as the gateway can count it."""
        self.settle(ended=True)
        exchange = self._exchange
        try:
            common = {name: value for name, value in _decode_event(head).items() if name not in ("choices", "usage")}
        except NOT_JSON:
            return NO_PART
        counted = {"prompt_tokens": exchange.tokens_in, "completion_tokens": exchange.tokens_out}
        counted["total_tokens"] = exchange.tokens_in + exchange.tokens_out
        event = sse.event(msgspec.json.encode({**common, "choices": [], "usage": counted}))
        return Part(self._with_cost(event), event)

    def _with_cost(self, event: bytes) -> bytes:
        self.settle(ended=True)
        if self.cost() is None:
            return event
        try:
            reported = _decode_event(b"".join(sse.payloads(event)))
            reported["usage"]["cost_usd"] = self._exchange.cost_usd
            return sse.event(msgspec.json.encode(reported))
        except NOT_JSON:  # a number that Python has none for
            return event

    def _tells_only_usage(self, event: bytes) -> bool:
        """Whether an event has nothing but usage in it, which is noted."""
        tally = self._exchange.tally
        tally.take(event)
        is_only = False
        for payload in sse.payloads(event):
            if reported := usage.read(payload):
                tally.note(reported)
            is_only = is_only or _is_only_usage(payload)
        return is_only


def _is_only_usage(payload: bytes) -> bool:
    try:
        return not _decode_usage_event(payload).choices
    except NOT_JSON:
        return False
