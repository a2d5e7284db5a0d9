"""An answer put together from its events: one Assembly for each choice."""

from collections.abc import Sequence
from typing import Any

from jobs.ml_worker.completions.plan import Plan
from jobs.ml_worker.engines.client import CHAT


class ChatAssembly:
    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[Any] = []
        self._finish_reason = "stop"

    def add(self, choice: dict[str, Any]) -> None:
        self._finish_reason = choice["finish_reason"] or self._finish_reason
        if choice["logprobs"]:
            self._logprobs += choice["logprobs"]["content"]
        for name, value in choice["delta"].items():
            if name == "tool_calls":
                for call in value:
                    self._add_call(call)
            elif name != "role" and value is not None:
                self._texts.setdefault(name, []).append(value)

    def choice(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        message |= {name: "".join(parts) for name, parts in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [self._calls[position] for position in sorted(self._calls)]
            message["content"] = message["content"] or None
        elif message["content"] is None:
            message["content"] = ""
        return {
            "index": index,
            "message": message,
            "logprobs": {"content": self._logprobs, "refusal": None} if self._logprobs else None,
            "finish_reason": self._finish_reason,
        }

    def _add_call(self, delta: dict[str, Any]) -> None:
        """The first part of a call names it, the others bring more of its arguments."""
        position = delta.pop("index")
        if known := self._calls.get(position):
            known["function"]["arguments"] += delta["function"].get("arguments", "")
        else:
            self._calls[position] = delta


class TextAssembly:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self._logprobs: dict[str, list[Any]] = {}
        self._finish_reason = "stop"

    def add(self, choice: dict[str, Any]) -> None:
        self._finish_reason = choice["finish_reason"] or self._finish_reason
        self._texts.append(choice["text"])
        for name, values in (choice["logprobs"] or {}).items():
            self._logprobs.setdefault(name, []).extend(values)

    def choice(self, index: int) -> dict[str, Any]:
        return {
            "index": index,
            "text": "".join(self._texts),
            "logprobs": self._logprobs or None,
            "finish_reason": self._finish_reason,
        }


def assemblies(plan: Plan) -> Sequence[ChatAssembly | TextAssembly]:
    """An empty one for each answer of the plan."""
    if plan.path == CHAT:
        return [ChatAssembly() for _ in plan.calls]
    return [TextAssembly() for _ in plan.calls]
