"""One engine call's events in OpenAI's shape."""

from typing import Any

from jobs.ml_worker.completions.plan import Plan
from jobs.ml_worker.completions.usage import Usage
from jobs.ml_worker.engines import refusals
from jobs.ml_worker.engines.client import CHAT, prompt_field

Event = dict[str, Any]

OWN = ("timings", "usage", "prompt_progress", "error")
"""Of these an engine's event may have some that are not for the caller, or not in this form."""
MARKS = tuple(f'"{name}":'.encode() for name in OWN)
"""Inside a JSON string the quotes would be escaped, so a text never looks like one of these."""


ROLE = b'"role":"assistant"'

OF_EVENTS = frozenset({"id", "object", "created", "model", "choices", "system_fingerprint", "service_tier"})
OF_CHOICES = frozenset({"index", "delta", "text", "logprobs", "finish_reason"})
OF_DELTAS = frozenset({"role", "content", "refusal", "tool_calls", "reasoning", "reasoning_content"})
"""What OpenAI's events have, and its imitators' for thoughts; the rest is the engine's own."""


class Shape:
    def __init__(self, plan: Plan, index: int, usage: Usage, *, events_are_plain: bool = True) -> None:
        """`events_are_plain` as in Running."""
        self._are_plain = events_are_plain
        self._plan = plan
        self._index = index
        self._usage = usage
        self._echo: str = plan.calls[index]["prompt"] if plan.echo else ""
        self._role_is_due = plan.path == CHAT
        """llama.cpp tells the role with the first token, and not at all when it holds that one's text back."""
        self._offset = 0
        """Characters of the text so far, for the older form of logprobs."""

    def needs_no_change(self, block: bytes) -> bool:
        """Whether a block of events can go to the caller as it is."""
        if self._role_is_due and ROLE in block:
            self._role_is_due = False
        return self._are_plain and not self._role_is_due and not any(mark in block for mark in MARKS)

    def __call__(self, event: Event) -> Event | None:
        """The event for the caller, if it is for the caller; the error that the engine tells of in it."""
        if error := event.get("error"):
            raise refusals.from_told(error, refusals.status(error), prompt_field(self._plan.path))
        if usage := event.get("usage"):
            self._usage.add(usage, with_prompt=self._index % self._plan.answers_each == 0)
        for name in OWN:
            event.pop(name, None)
        if not self._are_plain:
            event = {name: value for name, value in event.items() if name in OF_EVENTS}
            event["model"] = self._plan.calls[0]["model"]
            event["choices"] = [_plain(choice) for choice in event.get("choices", ())]
        for choice in event["choices"]:
            self._reshape(choice)
        return event if event["choices"] else None

    def _reshape(self, choice: dict[str, Any]) -> None:
        choice["index"] = self._index
        if self._role_is_due:
            choice["delta"] = {"role": "assistant"} | choice["delta"]
            self._role_is_due = False
        if self._echo:
            choice["text"], self._echo = self._echo + choice["text"], ""
        given = choice.pop("logprobs", None) or {}
        told = given.get("content")
        if self._plan.top_logprobs is None:
            choice["logprobs"] = None
        elif self._plan.path == CHAT:
            choice["logprobs"] = told and {"content": [_token(each, self._plan.top_logprobs) for each in told]}
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
    alternatives = []
    for token, known in zip(told["tokens"], told.get("top_logprobs") or [{}] * len(told["tokens"]), strict=True):
        likeliest = sorted((known or {}).items(), key=lambda each: -each[1])[:top]
        alternatives.append(dict(likeliest) | {name: value for name, value in (known or {}).items() if name == token})
    return told | {"top_logprobs": alternatives}


def _token(told: dict[str, Any], top: int) -> dict[str, Any]:
    return _bare(told) | {"top_logprobs": [_bare(each) for each in told["top_logprobs"][:top]]}


def _bare(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("token", "logprob", "bytes")}


def _alternatives(told: dict[str, Any], top: int) -> dict[str, float]:
    """The likeliest tokens, and always the one that was taken."""
    likeliest = {each["token"]: each["logprob"] for each in told["top_logprobs"][:top]}
    return likeliest | {told["token"]: told["logprob"]}
