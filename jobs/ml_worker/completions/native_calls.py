"""An engine's own tool calls in OpenAI's form: servers leave out the index (Ollama), repeat what belongs into the first
part, or write null instead (SGLang). Clients add up whatever stands there."""

from collections.abc import Callable
from typing import Any

Call = dict[str, Any]


class NativeCalls:
    def __init__(self, call_id: Callable[[], str], *, several: bool) -> None:
        self.begun = 0
        self._call_id = call_id
        self._several = several

    def parts(self, calls: list[Call]) -> list[Call]:
        """The parts of calls in one delta; of the first call only, where several are not wanted."""
        parts = [self._part(call) for call in calls]
        return [part for part in parts if self._several or part["index"] == 0]

    def _part(self, call: Call) -> Call:
        function = call.get("function") or {}
        arguments = function.get("arguments") or ""
        stated = call.get("index")
        index = stated if isinstance(stated, int) else self.begun if function.get("name") else max(0, self.begun - 1)
        if not function.get("name") or index < self.begun:
            return {"index": index, "function": {"arguments": arguments}}
        self.begun = index + 1
        function = {"name": function["name"], "arguments": arguments}
        return {"index": index, "id": call.get("id") or self._call_id(), "type": "function", "function": function}
