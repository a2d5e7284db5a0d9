"""What the worker does with each of OpenAI's parameters: it does what they say, or refuses them. The one list of them,
from which the docs have theirs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jobs.ml_worker.completions import engine_parameters
from shared.core.errors import InvalidRequest

MOST_NAME = 100
"""Characters of an unknown name that are repeated to the caller."""


@dataclass(frozen=True, slots=True)
class Parameter:
    handling: str
    """For the docs."""
    refuses: Callable[[Any], bool] = lambda _: False
    """Whether a value (never null) asks for what is not done."""


def _always(_value: Any) -> bool:
    return True


def _but(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: value not in allowed


DONE = Parameter("done")
BY_ENGINE = Parameter("done; checked again by the engine")
NO_EFFECT = Parameter("accepted: it identifies the caller and changes no answer")
REFUSED = Parameter("refused", _always)

SHARED: Mapping[str, Parameter] = MappingProxyType(
    {
        "model": DONE,
        "n": Parameter("done, up to 128: in turns where the slots are fewer"),
        "max_tokens": DONE,
        "temperature": DONE,
        "top_p": DONE,
        "presence_penalty": DONE,
        "frequency_penalty": DONE,
        "logit_bias": DONE,
        "seed": DONE,
        "stop": DONE,
        "stream": DONE,
        "stream_options": Parameter(
            "`include_usage` done; `include_obfuscation` refused",
            lambda value: bool(value.get("include_obfuscation")),
        ),
        "user": NO_EFFECT,
    }
)
CHAT: Mapping[str, Parameter] = MappingProxyType(
    {
        **SHARED,
        "messages": Parameter("done; images and sounds where the model takes them"),
        "max_completion_tokens": DONE,
        "logprobs": DONE,
        "top_logprobs": DONE,
        "response_format": BY_ENGINE,
        "tools": Parameter("functions done, also where the model's template knows none; `custom` refused"),
        "tool_choice": DONE,
        "parallel_tool_calls": DONE,
        "functions": Parameter("refused: use `tools`", _always),
        "function_call": Parameter("refused: use `tool_choice`", _always),
        "reasoning_effort": Parameter("done where the model's template takes it, else refused but for `none`"),
        "service_tier": Parameter("`auto` and `default` done, others refused", _but("auto", "default")),
        "modalities": Parameter("`text` done, `audio` refused", _but([], ["text"])),
        "audio": REFUSED,
        "store": Parameter("`false` done, `true` refused", _but(False)),
        "metadata": Parameter("refused: it belongs to what is stored", _but({})),
        "moderation": REFUSED,
        "prediction": REFUSED,
        "web_search_options": REFUSED,
        "verbosity": Parameter("`medium` done, others refused", _but("medium")),
        "prompt_cache_key": Parameter("accepted: prompts are cached without it"),
        "prompt_cache_options": REFUSED,
        "prompt_cache_retention": Parameter("`in_memory` done, others refused", _but("in_memory", "in-memory")),
        "safety_identifier": NO_EFFECT,
    }
)
TEXT: Mapping[str, Parameter] = MappingProxyType(
    {
        **SHARED,
        "prompt": DONE,
        "max_tokens": Parameter("done, also 0"),
        "logprobs": DONE,
        "echo": Parameter(
            "done; with `logprobs` or for token ids where the engine scores prompts (vLLM), else refused"
        ),
        "best_of": Parameter("refused when it is more than `n`"),
        "suffix": Parameter("refused", _but("")),
    }
)


def refuse(given: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> None:
    """InvalidRequest that names the first parameter of the request that is not done, or that no engine has."""
    for name, value in given.items():
        if parameter := parameters.get(name):
            if parameter.refuses(value):
                raise unsupported(name, parameter)
        elif name not in engine_parameters.NAMES:
            raise _unknown(name[:MOST_NAME])


def _unknown(param: str) -> InvalidRequest:
    return InvalidRequest(f"'{param}' is not a parameter of this endpoint.", param=param, code="unsupported_parameter")


def unsupported(name: str, parameter: Parameter) -> InvalidRequest:
    message = f"'{name}' is not supported in this way: {parameter.handling.replace('`', chr(39))}."
    return InvalidRequest(message, param=name, code="unsupported_parameter")
