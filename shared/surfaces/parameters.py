"""Which fields a request may have where a budget or a limit of tokens must hold, and the server is not our own.

An unknown field may lengthen the answer past what was reserved (`n_predict`, `max_new_tokens`,
`options`) or make it dearer (`plugins`, `provider`). So there only known fields are sent on, and the request is written
anew from what was read: whatever stands in it twice, or under an escaped name, stands there once. Our own worker takes
known fields only, from every caller.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.core.errors import InvalidRequest
from shared.surfaces import message_parts
from shared.surfaces.request import FIELDS, Fields, fields
from shared.surfaces.usage import NOT_JSON

OPENAI = frozenset(
    {
        *("stop", "seed", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"),
        *("response_format", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
        *("reasoning_effort", "verbosity", "user", "metadata", "store", "safety_identifier", "suffix", "echo"),
        *("prompt_cache_key", "prompt_cache_retention"),
    }
)
OTHER_SERVERS = frozenset(
    {
        *("top_k", "top_a", "min_p", "typical_p", "repetition_penalty", "repeat_penalty", "repeat_last_n"),
        *("mirostat", "mirostat_tau", "mirostat_eta", "dynatemp_range", "dynatemp_exponent", "samplers"),
        *("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
        *("xtc_probability", "xtc_threshold", "random_seed", "min_tokens", "ignore_eos", "stop_token_ids"),
        *("allowed_token_ids", "bad_words", "include_stop_str_in_output", "skip_special_tokens"),
        *("spaces_between_special_tokens", "add_special_tokens", "add_generation_prompt", "continue_final_message"),
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs", "grammar"),
        *("json_schema", "regex", "ebnf", "chat_template_kwargs", "documents", "truncate_prompt_tokens"),
        *("include_reasoning", "separate_reasoning", "stream_reasoning", "safe_prompt", "cache_prompt", "cache_salt"),
        *("return_tokens_as_token_ids", "return_token_ids"),
    }
)
"""Of vLLM, SGLang, llama.cpp, Ollama and Mistral: they choose among tokens, or end an answer within its bound."""
KNOWN = FIELDS | OPENAI | OTHER_SERVERS
TIERS = frozenset({"auto", "default", "standard", "standard_only", "flex", "on_demand"})
"""Service tiers that cost no more than the usual one."""
TOOLS = ("function", "custom")
"""Tools that the caller runs; others are run by the server, and paid for apiece."""
FUNCTION = msgspec.Raw(b'"function"')
"""The type of a tool that names none."""


NOT_USUAL = object()

DEARER: dict[str, Callable[[Any], bool]] = {
    "service_tier": lambda value: value is None or (isinstance(value, str) and value in TIERS),
    "modalities": lambda value: value in (None, ["text"]),
    "audio": lambda value: value is None,
    "web_search_options": lambda value: value is None,
}
"""Fields that change the price, and which of their values do not."""


@dataclass(frozen=True, slots=True)
class Restricted:
    body: bytes
    removed: tuple[str, ...] = ()
    """Names of fields that are not sent on."""


def restricted(body: bytes, allowed: Set[str], *, has_budget: bool) -> Restricted:
    """The request written anew with its known fields, and the others' names. `allowed` are those that the operator
    takes for this model beside them, whatever they do to length and price. Where there is a budget, InvalidRequest
    names a field that is not known or makes the answer dearer."""
    kept: Fields = {}
    removed: list[str] = []
    for name, value in fields(body).items():
        if name in KNOWN or name in allowed:
            kept[name] = value
        elif is_usual := DEARER.get(name):
            if has_budget and not is_usual(_decoded(value)):
                raise _dearer(name)
            kept[name] = value
        elif bytes(value) != b"null":
            if has_budget:
                raise _unknown(name[:100])
            removed.append(name)
    if has_budget and "tools" not in allowed:
        _require_callers_tools(kept)
    if "messages" in kept:
        kept["messages"] = message_parts.rewritten(kept["messages"])
    return Restricted(msgspec.json.encode(kept), tuple(removed))


def _decoded(value: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(value)
    except NOT_JSON:
        return NOT_USUAL


def _unknown(param: str) -> InvalidRequest:
    text = f"'{param}' is not known here, so it is not taken from a caller with a budget: it may lengthen the answer."
    return InvalidRequest(text, param=param, code="unsupported_parameter")


def _dearer(param: str) -> InvalidRequest:
    text = f"'{param}' is not taken in this way from a caller with a budget: it changes the price of the answer."
    return InvalidRequest(text, param=param, code="unsupported_parameter")


_decode_tools = msgspec.json.Decoder(list[Fields] | None).decode


def _require_callers_tools(kept: Fields) -> None:
    """InvalidRequest names a tool that the server would run. The others are written anew, each with one type."""
    if "tools" not in kept:
        return
    try:
        offered = _decode_tools(kept["tools"])
    except NOT_JSON:
        raise InvalidRequest("'tools' should be a list of tools.", param="tools") from None
    for number, tool in enumerate(offered or ()):
        if _decoded(tool.get("type", FUNCTION)) not in TOOLS:
            raise _dearer(f"tools.{number}.type")
    kept["tools"] = msgspec.Raw(msgspec.json.encode(offered))
