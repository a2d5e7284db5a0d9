"""Reads tool calls out of a model's text, for engines that read none themselves, and streams them as OpenAI does.

A call is `{"name": "…", "arguments": {…}}`, at the beginning of the answer or inside `<tool_call>` anywhere. Text that
is none goes on as text; only as much is held back as could still become a call.
"""

import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
Delta = dict[str, Any]

OPENING, CLOSING = "<tool_call>", "</tool_call>"
BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Calling:
    """Which calls an answer may hold, and how it ends when it does."""

    names: tuple[str, ...]
    finish_reason: str = "tool_calls"
    """`stop` when the caller named the function, as OpenAI has it."""
    demanded: bool = False
    """The engine was made to answer with one call."""
    several: bool = True
    in_text: bool = True
    """Whether they have to be read out of the text."""

    @property
    def is_native(self) -> bool:
        """Whether the engine's own events can go to the caller as they are."""
        return not self.in_text and self.several and self.finish_reason == "tool_calls"


async def read(parts: AsyncGenerator[Event], calling: Calling, call_id: Callable[[], str]) -> AsyncGenerator[Event]:
    """The events of a choice's text as those of its calls and of the text around them."""
    reader = CallReader(calling, call_id)
    async with aclosing(parts):
        async for part in parts:
            choice = part["choices"][0]
            text, rest = choice["delta"].get("content") or "", _without_text(choice["delta"], calling)
            deltas = [rest] if rest else []
            deltas += reader.feed(text)
            reason = choice["finish_reason"]
            if reason:
                deltas += [*reader.end(), {}]
                reason = calling.finish_reason if reader.calls and reason == "stop" else reason
            elif not deltas and choice.get("logprobs"):
                deltas = [{}]
            if not deltas:
                yield part | {"choices": []}  # held back, but generated
            for number, delta in enumerate(deltas):
                changes = {"delta": delta, "finish_reason": reason if number == len(deltas) - 1 else None}
                yield part | {"choices": [choice | changes | ({"logprobs": None} if number else {})]}


def _without_text(delta: Delta, calling: Calling) -> Delta:
    """What of a delta goes on at once: the role, thoughts."""
    if "role" in delta:
        return delta | {"content": None if calling.demanded else ""}
    return {name: value for name, value in delta.items() if name != "content"}


class CallReader:
    """Reads a text as it comes, character by character, and says what it is in the deltas of a choice."""

    def __init__(self, calling: Calling, call_id: Callable[[], str]) -> None:
        self.calls = 0
        """How many have begun."""
        self._calling = calling
        self._call_id = call_id
        self._heads = _heads(calling.names)
        self._longest = 2 * max(map(len, self._heads))
        """Characters that the beginning of a call may have with its blanks."""
        self._deltas: list[Delta] = []
        self._begin()

    def feed(self, text: str) -> list[Delta]:
        for character in text:
            self._step(character)
        return self._taken()

    def end(self) -> list[Delta]:
        """What is left when the text is over."""
        is_call = self._step == self._name and (self._named or self._calling.demanded)
        if self._step in (self._text, self._name) and not is_call and (self._held.strip() or not self.calls):
            self._say(self._held)
        return self._taken()

    def _begin(self, step: Callable[[str], None] | None = None, *, bare: bool = True) -> None:
        self._step: Callable[[str], None] = step or self._text
        self._bare = bare
        """Whether a call may begin here without a tag."""
        self._held = ""
        """Text of which it is not known yet what it is."""
        self._head = ""
        """The beginning of a call without its blanks."""
        self._named = self._tagged = False
        self._in_string = self._escaped = False
        self._depth = 0

    def _taken(self) -> list[Delta]:
        deltas, self._deltas = self._deltas, []
        return deltas

    def _text(self, character: str) -> None:
        self._held += character
        start = self._held.lstrip(BLANKS) if self._bare else self._held
        if start == OPENING:
            self._tagged, self._step = True, self._name
        elif self._bare and start == "{":
            self._step = self._name
            self._read_name(character)
        elif start and not OPENING.startswith(start):
            while start and not OPENING.startswith(start):
                start = start[1:]
            self._say(self._held.removesuffix(start))
            self._held, self._bare = start, False

    def _name(self, character: str) -> None:
        self._held += character
        self._read_name(character)

    def _read_name(self, character: str) -> None:
        if character not in BLANKS or self._in_string:
            self._head += character
            self._in_string ^= character == '"'
        possible = {name for head, name in self._heads.items() if head.startswith(self._head)}
        if not possible or len(self._held) > self._longest:
            self._say(self._held)
            self._begin(bare=False)
        elif self._head in self._heads:
            self._call(self._heads[self._head])
            self._step = self._arguments
            self._arguments(character)
        elif self._calling.demanded and self._head and len(possible) == 1:
            self._call(possible.pop())

    def _call(self, name: str) -> None:
        """Says that a call begins, once."""
        if not self._named:
            self._named = True
            function = {"name": name, "arguments": ""}
            call = {"index": self.calls, "id": self._call_id(), "type": "function", "function": function}
            self._deltas.append({"tool_calls": [call]})
            self.calls += 1

    def _arguments(self, character: str) -> None:
        self._argue(character)
        if self._in_string:
            self._in_string = self._escaped or character != '"'
            self._escaped = character == "\\" and not self._escaped
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self._step = self._arguments if self._depth else self._bracket

    def _bracket(self, character: str) -> None:
        """The bracket that closes the call."""
        if character in BLANKS:
            return
        self._held, self._step = "", self._tag
        if character != "}" or not self._tagged:
            self._end_call("" if character == "}" else character)

    def _tag(self, character: str) -> None:
        """The tag behind it."""
        self._held = (self._held + character).lstrip(BLANKS)
        if not CLOSING.startswith(self._held):
            self._end_call(self._held)
        elif self._held == CLOSING:
            self._end_call("")

    def _end_call(self, rest: str) -> None:
        self._begin(self._text if self._calling.several else _nothing)
        for character in rest:
            self._step(character)

    def _say(self, text: str) -> None:
        if text and self._deltas and "content" in self._deltas[-1]:
            self._deltas[-1]["content"] += text
        elif text:
            self._deltas.append({"content": text})

    def _argue(self, text: str) -> None:
        calls = self._deltas[-1].get("tool_calls") if self._deltas else None
        if calls and "id" not in calls[0]:
            calls[0]["function"]["arguments"] += text
        else:
            self._deltas.append({"tool_calls": [{"index": self.calls - 1, "function": {"arguments": text}}]})


def _nothing(_character: str) -> None:
    """What stands behind the one call that was wanted."""


def _heads(names: Iterable[str]) -> dict[str, str]:
    """How a call can begin, up to the bracket of its arguments and without blanks, and the function it is to."""
    return {
        f'{{"name":{spelled},"{field}":{{': name
        for name in names
        for spelled in {json.dumps(name), json.dumps(name, ensure_ascii=False)}
        for field in ("arguments", "parameters")
    }
