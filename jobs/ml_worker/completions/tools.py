"""Tool choice, for models that know tools and for those that do not.

A template that knows no tools never shows them to the model. A call can still be had where one is demanded: the
functions are described in the system message, the answer is constrained to the JSON of a call, and read as one.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from jobs.ml_worker.engines.engine import Running
from shared.core.errors import InvalidRequest

NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}
INSTRUCTION = 'Answer by calling one of these functions, with JSON like {"name": …, "arguments": {…}}:'

Event = dict[str, Any]
_text = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Forced:
    """The answer is a tool call by constraint."""

    finish_reason: str
    """`stop` when the caller named the function, else `tool_calls`, as OpenAI has it."""


class Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


def apply(given: dict[str, Any], running: Running) -> Forced | None:
    """Rewrites the tool fields (and what follows from them) of a request in place, for this engine."""
    if not running.calls_tools:
        given["messages"] = [_written_out(message) for message in given["messages"]]
    offered = given.pop("tools", [])
    choice = given.pop("tool_choice", "auto" if offered else "none")
    if choice == "none":
        return None
    if any(tool["type"] != "function" for tool in offered):
        raise InvalidRequest("Only tools of type 'function' are supported.", param="tools")
    named = isinstance(choice, dict) and choice["type"] != "allowed_tools"
    demanded, offered = _chosen(choice, offered)
    if running.calls_tools:
        given |= {"tools": offered, "tool_choice": "required" if demanded else "auto"}
        return None
    if not demanded:
        return None
    functions = [tool["function"] for tool in offered]
    given["messages"] = _instructed(given["messages"], functions)
    given["response_format"] = {
        "type": "json_schema",
        "json_schema": {"name": "tool_call", "strict": True, "schema": _schema(functions)},
    }
    return Forced("stop" if named else "tool_calls")


async def read_as_call(
    parts: AsyncGenerator[Event], forced: Forced, call_id: Callable[[], str]
) -> AsyncGenerator[Event]:
    """The events of a constrained answer as those of a tool call. One that was cut off calls nothing."""
    texts: list[str] = []
    part = None
    async with aclosing(parts):
        async for part in parts:
            if not texts:
                yield _with(part, {"role": "assistant", "content": None}, None)
            texts.append(part["choices"][0]["delta"].get("content") or "")
    if part is None:
        return
    finish_reason = part["choices"][0]["finish_reason"]
    if call := _whole_call("".join(texts)):
        function = {"name": call.name, "arguments": bytes(call.arguments).decode()}
        calls = [{"index": 0, "id": call_id(), "type": "function", "function": function}]
        yield _with(part, {"tool_calls": calls}, None)
        finish_reason = forced.finish_reason
    yield _with(part, {}, finish_reason)


def _whole_call(content: str) -> Call | None:
    try:
        return msgspec.json.decode(content, type=Call)
    except msgspec.DecodeError:
        return None


def _with(part: Event, delta: dict[str, Any], finish_reason: str | None) -> Event:
    return part | {"choices": [part["choices"][0] | {"delta": delta, "finish_reason": finish_reason}]}


def _chosen(choice: Any, offered: list[dict[str, Any]]) -> tuple[bool, list[dict[str, Any]]]:
    """Whether a call is demanded, and the tools it may be to."""
    demanded, names = choice == "required", None
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        demanded = allowed["mode"] == "required"
        names = {tool.get("function", tool).get("name") for tool in allowed["tools"]}
    elif isinstance(choice, dict):
        demanded, names = True, {choice.get("function", {}).get("name")}
    found = [tool for tool in offered if names is None or tool["function"]["name"] in names]
    if not found:
        raise InvalidRequest("'tool_choice' names no function that is among 'tools'.", param="tool_choice")
    return demanded, found


def _schema(functions: list[dict[str, Any]]) -> dict[str, Any]:
    """A call to one of the functions. Each function's schema stands in a place of its own, its references with it."""
    places = {f"function{number}": function for number, function in enumerate(functions)}
    return {
        "$defs": {
            place: _moved(function.get("parameters") or NO_ARGUMENTS, f"#/$defs/{place}")
            for place, function in places.items()
        },
        "anyOf": [
            {
                "type": "object",
                "properties": {"name": {"const": function["name"]}, "arguments": {"$ref": f"#/$defs/{place}"}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for place, function in places.items()
        ],
    }


def _moved(schema: Any, root: str) -> Any:
    """The schema with its references within itself made right for where it stands now."""
    if isinstance(schema, list):
        return [_moved(each, root) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: root + value[1:] if key == "$ref" and isinstance(value, str) and value[:1] == "#" else _moved(value, root)
        for key, value in schema.items()
    }


def _instructed(messages: list[dict[str, Any]], functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with the functions described in its system message; most templates take only one of those."""
    instruction = "\n".join([INSTRUCTION, *(_text(function).decode() for function in functions)])
    first = messages[0]
    if first["role"] not in {"system", "developer"}:
        return [{"role": "system", "content": instruction}, *messages]
    return [_with_text(first, instruction), *messages[1:]]


def _written_out(message: dict[str, Any]) -> dict[str, Any]:
    """An earlier call as text, for a template that would leave it out."""
    for call in message.get("tool_calls", ()):
        if call["type"] == "function":
            name = _text(call["function"]["name"]).decode()
            message = _with_text(message, f'{{"name": {name}, "arguments": {call["function"]["arguments"]}}}')
    return {key: value for key, value in message.items() if key != "tool_calls"}


def _with_text(message: dict[str, Any], text: str) -> dict[str, Any]:
    content = message.get("content") or []
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return message | {"content": [*parts, {"type": "text", "text": text}]}
