"""One engine call's events in OpenAI's shape."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from jobs.ml_worker.completions.native_calls import NativeCalls
from jobs.ml_worker.completions.plan import Plan
from jobs.ml_worker.completions.usage import CallUsage, Usage
from jobs.ml_worker.engines import refusals
from jobs.ml_worker.engines.client import CHAT, prompt_field
from shared.core.tokens import BYTES_PER_TOKEN
from shared.surfaces.tally import generated_bytes

Event = dict[str, Any]

OWN = ("timings", "usage", "prompt_progress", "error")
"""Of these an engine's event may have some that are not for the caller, or not in this form."""
MARKS = tuple(f'"{name}":'.encode() for name in OWN)
"""Inside a JSON string the quotes would be escaped, so a text never looks like one of these."""


DELTA, DELTA_WITHOUT_LOGPROBS = b'"delta":{', b'"logprobs":null,"delta":{'
CREATED = re.compile(rb'"created":\d+')
TIMINGS = re.compile(rb',"timings":(\{[^{}]*\})')
END, END_WITHOUT_USAGE = b"}\n\n", b',"usage":null}\n\n'

FIRST: Event = {"role": "assistant", "content": "", "refusal": None}
"""How the deltas of a choice begin."""
OF_EVENTS = frozenset({"id", "object", "created", "model", "choices", "system_fingerprint", "service_tier"})
OF_CHOICES = frozenset({"index", "delta", "text", "logprobs", "finish_reason"})
OF_DELTAS = frozenset({"content", "refusal", "tool_calls", "reasoning", "reasoning_content"})
"""What OpenAI's events have, and its imitators' for thoughts; the rest is the engine's own."""


_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


class Shape:
    def __init__(
        self, plan: Plan, index: int, usage: Usage, call_id: Callable[[], str], *, events_are_plain: bool = True
    ) -> None:
        """`events_are_plain` as in Running; `call_id` makes one for a call without."""
        self._are_plain = events_are_plain
        self._calls = NativeCalls(call_id, several=plan.calling is None or plan.calling.several)
        self._plan = plan
        self._index = index
        self._usage = usage
        self._echo: str = plan.calls[index]["prompt"] if plan.echo else ""
        self._role_is_due = plan.path == CHAT
        """llama.cpp tells the role with the first token, and not at all when it holds that one's text back."""
        self._created = b""
        """As the first event has it: llama.cpp's change with the second."""
        self._is_counted = False
        """Whether the engine tells its tokens."""
        self._offset = 0
        """Characters of the text so far, for the older form of logprobs."""

    def counted(self, block: bytes) -> bytes:
        """A block of events without the engine's timings, which tell the tokens so far."""
        if not self._are_plain or b'"timings":' not in block or not (found := TIMINGS.findall(block)):
            return block
        self._count_timings(_decode(found[-1]))
        return TIMINGS.sub(b"", block)

    def needs_no_change(self, block: bytes) -> bool:
        """Whether a block of events can go to the caller as it is."""
        return self._are_plain and not self._role_is_due and not any(mark in block for mark in MARKS)

    def completed(self, block: bytes) -> bytes:
        """A block that needs no other change, with the fields that an engine leaves out because they are null."""
        if self._plan.path == CHAT:
            block = block.replace(DELTA, DELTA_WITHOUT_LOGPROBS)
        if self._plan.null_usage:
            block = block.replace(END, END_WITHOUT_USAGE)
        if not self._created and (found := CREATED.search(block)):
            self._created = found[0]
        return CREATED.sub(self._created, block) if self._created else block

    def __call__(self, event: Event) -> list[Event]:
        """The events for the caller that come of one of the engine's; raises the error that it tells of."""
        if error := event.get("error"):
            raise refusals.from_told(error, refusals.status(error), prompt_field(self._plan.path))
        if usage := event.get("usage"):
            details = usage.get("prompt_tokens_details") or {}
            self._count(usage["prompt_tokens"], usage["completion_tokens"], details.get("cached_tokens") or 0)
        elif timings := event.get("timings"):
            self._count_timings(timings)
        elif event.get("choices") and not self._is_counted:
            generated = generated_bytes(_encode(event["choices"]))
            self._usage.count(self._index, max(1, generated // BYTES_PER_TOKEN))
        for name in OWN:
            event.pop(name, None)
        if not self._are_plain:
            event = {name: value for name, value in event.items() if name in OF_EVENTS}
            event["model"] = self._plan.calls[0]["model"]
            event["choices"] = [_plain(choice) for choice in event.get("choices", ())]
        for choice in event["choices"]:
            self._reshape(choice)
        if not event["choices"]:
            return []
        if "created" in event:
            self._created = self._created or b'"created":%d' % event["created"]
            event["created"] = int(self._created.partition(b":")[2])
        event |= {"usage": None} if self._plan.null_usage else {}
        return self._begun(event) if self._role_is_due else [event]

    def _count_timings(self, timings: Event) -> None:
        cached = timings.get("cache_n", 0)
        self._count(cached + timings.get("prompt_n", 0), timings.get("predicted_n", 0), cached)

    def _count(self, prompt: int, completion: int, cached: int) -> None:
        """A prompt counts once, however many answers it gets."""
        self._is_counted = True
        completion = 0 if self._plan.max_tokens == 0 else completion
        if self._index % self._plan.answers_each:
            prompt = cached = 0
        self._usage.note(self._index, CallUsage(prompt, completion, cached))

    def _begun(self, event: Event) -> list[Event]:
        """The role in a part of its own, whatever the engine tells with it."""
        self._role_is_due = False
        choice = event["choices"][0]
        said = {name: value for name, value in choice["delta"].items() if name != "role" and value is not None}
        opening = FIRST | ({"content": None} if "tool_calls" in said else {})
        begin = event | {"choices": [choice | {"delta": opening, "logprobs": None, "finish_reason": None}]}
        rest = event | {"choices": [choice | {"delta": said}]}
        return [begin, rest] if said or choice["finish_reason"] or choice["logprobs"] else [begin]

    def _reshape(self, choice: dict[str, Any]) -> None:
        choice["index"] = self._index
        if calls := self._calls.parts(choice.get("delta", {}).pop("tool_calls", None) or []):
            choice["delta"]["tool_calls"] = calls
        if self._plan.calling and self._calls.begun and choice.get("finish_reason") in {"tool_calls", "stop"}:
            choice["finish_reason"] = self._plan.calling.finish_reason
        if self._plan.max_tokens == 0 and not self._plan.engine_echoes:
            choice["text"] = ""
        if self._echo:
            choice["text"], self._echo = self._echo + choice["text"], ""
        given = choice.pop("logprobs", None) or {}
        told = given.get("content")
        if self._plan.top_logprobs is None:
            choice["logprobs"] = None
        elif self._plan.path == CHAT:
            tokens = [_token(each, self._plan.top_logprobs) for each in told or ()]
            choice["logprobs"] = {"content": tokens, "refusal": None} if tokens else None
        elif "tokens" in given:
            choice["logprobs"] = _shortened(given, self._plan.top_logprobs)
        else:
            choice["logprobs"] = told and self._text_logprobs(told, self._plan.top_logprobs)

    def _text_logprobs(self, told: list[dict[str, Any]], top: int) -> dict[str, list[Any]]:
        offsets = []
        for each in told:
            offsets.append(self._offset)
            self._offset += len(each["token"])
        return {
            "tokens": [each["token"] for each in told],
            "token_logprobs": [each["logprob"] for each in told],
            "top_logprobs": [_alternatives(each, top) for each in told],
            "text_offset": offsets,
        }


def _plain(choice: dict[str, Any]) -> dict[str, Any]:
    plain = {"finish_reason": None} | {name: value for name, value in choice.items() if name in OF_CHOICES}
    if "delta" in plain:
        told = (plain["delta"] or {}).items()
        plain["delta"] = {name: value for name, value in told if name in OF_DELTAS and value is not None}
    return plain


def _shortened(told: dict[str, Any], top: int) -> dict[str, Any]:
    """The older form of logprobs, with as many alternatives as were asked for, and always the token that was taken."""
    alternatives: list[dict[str, float] | None] = []
    for token, known in zip(told["tokens"], told.get("top_logprobs") or [{}] * len(told["tokens"]), strict=True):
        if known is None:  # before the first token of a prompt there is nothing that could foretell it
            alternatives.append(None)
            continue
        likeliest = sorted(known.items(), key=lambda each: -each[1])[:top]
        alternatives.append(dict(likeliest) | {name: value for name, value in known.items() if name == token})
    return told | {"top_logprobs": alternatives}


def _token(told: dict[str, Any], top: int) -> dict[str, Any]:
    return _bare(told) | {"top_logprobs": [_bare(each) for each in told["top_logprobs"][:top]]}


def _bare(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("token", "logprob", "bytes")}


def _alternatives(told: dict[str, Any], top: int) -> dict[str, float]:
    """The likeliest tokens, and always the one that was taken."""
    likeliest = {each["token"]: each["logprob"] for each in told["top_logprobs"][:top]}
    return likeliest | {told["token"]: told["logprob"]}
