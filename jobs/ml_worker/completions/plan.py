"""A caller's request as the calls that the engine gets: one for each answer.

One each because llama.cpp counts the tokens of only one of them otherwise, and all of them streamed, because that is
how it notices that nobody waits for the rest any more.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from jobs.ml_worker.completions import engine_parameters, parameters, tools
from jobs.ml_worker.completions.calls import Calling
from jobs.ml_worker.engines.client import CHAT, TEXT
from jobs.ml_worker.engines.engine import Running
from shared.core.errors import InvalidRequest
from shared.web.schemas.chat import ChatRequest, CompletionRequest, Sampling
from shared.web.schemas.messages import OF_ANSWERS

SAMPLING = frozenset(
    {"temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "reasoning_effort"}
)
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
MOST_ANSWERS = 128
MOST_SCHEMA_BYTES = 16 * 1024
TOKEN_ID = re.compile(r"[0-9]{1,9}")
SEEDS = 2**32 - 1
"""llama.cpp takes 32 bits, and the highest of those numbers to mean "draw one"."""


@dataclass(frozen=True, slots=True)
class Plan:
    path: str
    """The engine's route."""
    calls: tuple[dict[str, Any], ...]
    """Bodies for the engine, in the order of the answers' `index`."""
    answers_each: int
    """How many calls in a row share a prompt."""
    max_tokens: int
    stream: bool
    include_usage: bool
    top_logprobs: int | None
    """How many alternatives are told for each token; None: no logprobs at all."""
    calling: Calling | None = None
    """The tool calls that the answers may hold."""
    echo: bool = False
    """Whether the prompt has to be put before the text."""
    engine_echoes: bool = False
    """Whether the engine does that, with the scores of the prompt's tokens if there are any."""
    reports_usage: bool = False
    """Whether a stream tells the gateway the tokens so far, in comments."""
    null_usage: bool = False
    """Whether the parts of a stream say that the usage comes later, as the caller has asked for it."""
    service_tier: str | None = None
    """Stated in the answer when the caller asked for one."""
    field_of_format: str = "response_format"
    """Which field of the caller's request the engine's `response_format` was made of."""

    @property
    def passes_through(self) -> bool:
        """Whether the engine's events can go to the caller as they are, but for the last."""
        return (
            len(self.calls) == 1
            and self.top_logprobs is None
            and (self.calling is None or self.calling.is_native)
            and not self.echo
            and self.max_tokens > 0
            and self.service_tier is None
        )


def chat(request: ChatRequest, running: Running, default_max_tokens: int) -> Plan:
    """The plan for a conversation; InvalidRequest when it asks for what this engine cannot do."""
    given = request.model_dump(exclude_none=True)
    parameters.refuse(given, parameters.CHAT)
    if given.get("reasoning_effort", "none") != "none" and not running.reasons:
        raise parameters.unsupported("reasoning_effort", parameters.CHAT["reasoning_effort"])
    _refuse_large_schemas(given.get("tools", ()))
    calling = tools.apply(given, running)
    given["messages"] = [_for_engine(message) for message in given["messages"]]
    _refuse_unknown_media(given["messages"], running)
    top_logprobs = (request.top_logprobs or 0) if request.logprobs else None
    max_tokens = request.max_completion_tokens or request.max_tokens or default_max_tokens
    body = _sampling(given, running, max_tokens)
    body |= {name: given[name] for name in ("messages", "tools", "tool_choice", "parallel_tool_calls") if name in given}
    if response_format := _response_format(given, "tools" if calling and calling.in_text else "response_format"):
        body["response_format"] = response_format
    if top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": max(1, top_logprobs)}
    planned = _plan(CHAT, request, [body], max_tokens, top_logprobs, calling)
    return replace(
        planned,
        service_tier="default" if request.service_tier else None,
        field_of_format="tools" if calling and calling.in_text else "response_format",
    )


def text(request: CompletionRequest, running: Running, default_max_tokens: int) -> Plan:
    """The plan for continuing a text or several; InvalidRequest when it asks for what this engine cannot do."""
    engine_echoes = bool(request.echo) and running.scores_prompts
    given = request.model_dump(exclude_none=True)
    parameters.refuse(given, parameters.TEXT)
    _refuse_unsupported(request, engine_echoes=engine_echoes)
    max_tokens = default_max_tokens if request.max_tokens is None else request.max_tokens
    body = _sampling(given, running, max_tokens if engine_echoes else max_tokens or 1)
    if request.logprobs is not None:
        body["logprobs"] = max(1, request.logprobs)
    if engine_echoes:
        body["echo"] = True
    bodies = [body | {"prompt": prompt} for prompt in _prompts(request)]
    planned = _plan(TEXT, request, bodies, max_tokens, request.logprobs)
    return replace(planned, echo=planned.echo and not engine_echoes, engine_echoes=engine_echoes)


def _plan(
    path: str,
    request: Sampling,
    bodies: list[dict[str, Any]],
    max_tokens: int,
    top_logprobs: int | None,
    calling: Calling | None = None,
) -> Plan:
    each = request.n or 1
    wants_usage = bool(request.stream and request.stream_options and request.stream_options.include_usage)
    if len(bodies) * each > MOST_ANSWERS:
        raise InvalidRequest(f"A request may ask for {MOST_ANSWERS} answers at most.", param="prompt")
    return Plan(
        path,
        tuple(call for body in bodies for call in _repeated(body, each)),
        each,
        max_tokens,
        stream=bool(request.stream),
        include_usage=wants_usage,
        null_usage=wants_usage,
        top_logprobs=top_logprobs,
        calling=calling,
        echo=isinstance(request, CompletionRequest) and bool(request.echo),
    )


def _repeated(body: dict[str, Any], times: int) -> Iterable[dict[str, Any]]:
    """The same call several times; with a seed each gets its own, or all answers would be the same."""
    if "seed" not in body:
        return [body] * times
    return [body | {"seed": (body["seed"] + index) % SEEDS} for index in range(times)]


def _sampling(given: dict[str, Any], running: Running, max_tokens: int) -> dict[str, Any]:
    body: dict[str, Any] = {name: given[name] for name in given.keys() & SAMPLING}
    body |= engine_parameters.taken(given, running.parameters, running.context, max_tokens)
    if "stop" in body:
        body["stop"] = [stop for stop in _listed(body["stop"]) if stop]  # an empty one would end every answer at once
    for token in body.get("logit_bias", ()):
        if not TOKEN_ID.fullmatch(token):
            raise InvalidRequest("The keys of 'logit_bias' must be token ids.", param="logit_bias")
    return {"model": given["model"], "max_tokens": max_tokens, **STREAMED, **running.counting, **body}


def _response_format(given: dict[str, Any], field: str) -> dict[str, Any] | None:
    wanted: dict[str, Any] | None = given.get("response_format")
    if wanted and wanted["type"] == "json_schema" and "schema" not in wanted["json_schema"]:
        return {"type": "json_object"}
    if wanted:
        _refuse_large(wanted, field)
    return wanted


def _refuse_large_schemas(offered: Iterable[dict[str, Any]]) -> None:
    for number, tool in enumerate(offered):
        _refuse_large(tool.get("function", {}).get("parameters"), f"tools.{number}.function.parameters")


def _refuse_large(schema: Any, field: str) -> None:
    if len(msgspec.json.encode(schema)) > MOST_SCHEMA_BYTES:
        raise InvalidRequest(
            f"'{field}' may have {MOST_SCHEMA_BYTES} bytes at most: the engine takes too long over a larger schema.",
            param=field,
            code="schema_too_large",
        )


def _for_engine(fields: dict[str, Any]) -> dict[str, Any]:
    """A message, a call or its function without what only tells of an earlier answer."""
    kept: dict[str, Any] = {
        name: _for_engine(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if name not in OF_ANSWERS
    }
    if calls := kept.get("tool_calls"):
        kept["tool_calls"] = [_for_engine(call) for call in calls]
    return kept


def _refuse_unknown_media(messages: list[dict[str, Any]], running: Running) -> None:
    for number, message in enumerate(messages):
        for part in message.get("content") or ():
            if isinstance(part, dict) and part["type"] not in {"text", "refusal"} | running.media:
                raise InvalidRequest(
                    f"This model does not take parts of type '{part['type']}'.",
                    param=f"messages.{number}.content",
                    code="unsupported_content",
                )
            _refuse_address(part, f"messages.{number}.content")


def _refuse_address(part: Any, param: str) -> None:
    """An image is sent along. Were the engine to fetch it, a caller could have it call whatever the worker can reach,
    the metadata server that hands out its credentials among them."""
    if isinstance(part, dict) and part["type"] == "image_url" and not part["image_url"]["url"].startswith("data:"):
        raise InvalidRequest(
            "This model takes images as `data:image/…;base64,…`; it fetches none from an address.",
            param=param,
            code="unsupported_content",
        )


def _refuse_unsupported(request: CompletionRequest, *, engine_echoes: bool) -> None:
    if (request.best_of or 1) > (request.n or 1):
        raise parameters.unsupported("best_of", parameters.TEXT["best_of"])
    wants_scores = request.logprobs is not None or not _is_text(request.prompt)
    if request.echo and wants_scores and not engine_echoes:
        raise parameters.unsupported("echo", parameters.TEXT["echo"])


def _prompts(request: CompletionRequest) -> list[str | list[int]]:
    """One prompt for each continuation: a text, or token ids."""
    prompt: Any = request.prompt
    prompts = [prompt] if isinstance(prompt, str) or isinstance(prompt[0], int) else prompt
    if [] in prompts:
        raise InvalidRequest("A prompt of no tokens cannot be continued.", param="prompt")
    return prompts


def _is_text(prompt: Any) -> bool:
    return isinstance(prompt, str) or isinstance(prompt[0], str)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
