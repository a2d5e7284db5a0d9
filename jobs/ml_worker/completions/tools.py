"""Tool choice, for models that know tools and for those that do not.

A template that knows no tools never shows them to the model. There the functions are described in the system message;
where a call is demanded, the answer is constrained to be one, and calls are read out of the text.
"""

from itertools import groupby
from typing import Any

import msgspec

from jobs.ml_worker.completions.calls import CLOSING, OPENING, Calling
from jobs.ml_worker.engines.engine import Running
from shared.core.errors import InvalidRequest

NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}
DEMAND = 'Answer by calling one of these functions, with JSON like {"name": …, "arguments": {…}}:'
OFFER = (
    "You may call functions. To call one, answer with nothing but "
    f'{OPENING}{{"name": …, "arguments": {{…}}}}{CLOSING}, once for each call. '
    "Their results come in the next message. Where no call is needed, answer in plain text. The functions:"
)
OFFER_OR_FORMAT = 'Call one of these functions, with JSON like {"name": …, "arguments": {…}}, or answer as demanded:'
RESULT = "Result of {}:\n{}"

_text = msgspec.json.Encoder().encode


def apply(given: dict[str, Any], running: Running) -> Calling | None:
    """Rewrites the tool fields (and what follows from them) of a request in place, for this engine. None when the
    answer holds no calls."""
    if not running.calls_tools:
        given["messages"] = _without_calls(given["messages"])
    offered = given.pop("tools", [])
    choice = given.pop("tool_choice", "auto" if offered else "none")
    if choice == "none":
        return None
    if any(tool["type"] != "function" for tool in offered):
        raise InvalidRequest("Only tools of type 'function' are supported.", param="tools")
    demanded, chosen = _chosen(choice, offered)
    functions = [tool["function"] for tool in chosen]
    named = isinstance(choice, dict) and choice["type"] != "allowed_tools"
    calling = Calling(
        tuple(function["name"] for function in functions),
        "stop" if named else "tool_calls",
        demanded,
        several=given.get("parallel_tool_calls") is not False,
        in_text=not running.calls_tools,
    )
    if running.calls_tools:
        given |= {"tools": chosen, "tool_choice": "required" if demanded else "auto"}
    else:
        _describe(given, functions, demanded=demanded)
    return calling


def _describe(given: dict[str, Any], functions: list[dict[str, Any]], *, demanded: bool) -> None:
    """Describes the functions where the template cannot, and constrains an answer of which something is demanded."""
    given.pop("parallel_tool_calls", None)
    wanted = given.get("response_format") or {"type": "text"}
    is_free = wanted["type"] == "text" and not demanded
    instruction = DEMAND if demanded else OFFER if is_free else OFFER_OR_FORMAT
    given["messages"] = _instructed(given["messages"], instruction, functions)
    if not is_free:
        schema = _schema(functions)
        if not demanded:
            otherwise = wanted.get("json_schema", {}).get("schema") or {"type": "object"}
            schema["$defs"]["answer"] = _moved(otherwise, "#/$defs/answer")
            schema["anyOf"].append({"$ref": "#/$defs/answer"})
        strict = any(each.get("strict") for each in (*functions, wanted.get("json_schema", {})))
        given["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "tool_call", "strict": strict, "schema": schema},
        }


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


def _instructed(
    messages: list[dict[str, Any]], instruction: str, functions: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The conversation with the functions described in its system message; most templates take only one of those."""
    text = "\n".join([instruction, *(_text(function).decode() for function in functions)])
    first = messages[0]
    if first["role"] not in {"system", "developer"}:
        return [{"role": "system", "content": text}, *messages]
    return [_with_text(first, text), *messages[1:]]


def _without_calls(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Earlier calls and their results as text, for a template that leaves them out or knows no such role."""
    names = {call["id"]: _name(call) for message in messages for call in message.get("tool_calls") or ()}
    written: list[dict[str, Any]] = []
    for are_results, group in groupby(messages, lambda message: message["role"] in {"tool", "function"}):
        if are_results:
            results = "\n\n".join(_result(message, names) for message in group)
            written.append({"role": "user", "content": results})
        else:
            written += map(_written_out, group)
    return written


def _result(message: dict[str, Any], names: dict[str, str]) -> str:
    content = message["content"]
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    name = names.get(message.get("tool_call_id", ""), message.get("name", ""))
    return RESULT.format(name, "".join(part["text"] for part in parts))


def _written_out(message: dict[str, Any]) -> dict[str, Any]:
    """An earlier call as text."""
    calls = [call["function"] for call in message.get("tool_calls") or () if call["type"] == "function"]
    if message["role"] == "assistant" and message.get("function_call"):
        calls.append(message["function_call"])
    for call in calls:
        text = f'{OPENING}{{"name": {_text(call["name"]).decode()}, "arguments": {call["arguments"]}}}{CLOSING}'
        message = _with_text(message, text)
    return {key: value for key, value in message.items() if key not in {"tool_calls", "function_call"}}


def _name(call: dict[str, Any]) -> str:
    return str((call.get("function") or call.get("custom") or {}).get("name", ""))


def _with_text(message: dict[str, Any], text: str) -> dict[str, Any]:
    content = message.get("content") or []
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return message | {"content": [*parts, {"type": "text", "text": text}]}
