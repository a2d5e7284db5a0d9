"""Chat completions and the older text completions, in OpenAI's shapes.

Fields not named here are allowed: servers have parameters of their own (`top_k`, `min_p`, …). The worker refuses those
that it does not know.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from shared.web.schemas.messages import (
    MOST_TOOLS,
    FunctionCall,
    FunctionDefinition,
    Message,
    NamedFunction,
    ToolCall,
    ToolChoice,
    Tools,
)
from shared.web.schemas.strict import Known, Open

Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
TokenLimit = Annotated[int, Field(ge=1, le=2**31 - 1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]
MOST_MESSAGES = 4096
Prompts = Annotated[list[str], Field(fail_fast=True)]
TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True)]
Tokenised = Annotated[list[TokenIds], Field(fail_fast=True)]
Stop = Annotated[str, Field(max_length=1000)]
Stops = Stop | Annotated[list[Stop], Field(max_length=4, fail_fast=True)]


class StreamOptions(Known):
    include_usage: bool | None = None
    """Ends the stream with one more part that holds the usage."""
    include_obfuscation: bool | None = None


class Sampling(Open):
    """What both kinds of completion take. Null means the same as leaving the field out."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    """Answers to make, in turns where the slots are fewer; each is generated and paid for."""
    max_tokens: TokenLimit | None = None
    """Most tokens to generate for one answer."""
    stop: Stops | None = None
    """Up to 4 texts at which the answer ends; none of them is part of it."""
    seed: Int64 | None = None
    """The same seed and parameters give the same answer, as far as the server can."""
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[str, Bias], Field(max_length=1024, fail_fast=True)] | None = None
    """Token id → what is added to its logit."""
    stream: bool | None = None
    """Sends the answer as server-sent events while it is generated."""
    stream_options: StreamOptions | None = None
    user: str | None = None


class TextFormat(Known):
    type: Literal["text"]


class JsonObjectFormat(Known):
    type: Literal["json_object"]


class JsonSchema(Known):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class JsonSchemaFormat(Known):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class ChatRequest(Sampling):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": "What is the sea?"}]},
            ]
        }
    )

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES, fail_fast=True)]
    max_completion_tokens: TokenLimit | None = None
    """The newer name of `max_tokens`."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    """Needs `logprobs: true`."""
    response_format: ResponseFormat | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[FunctionDefinition], Field(max_length=MOST_TOOLS, fail_fast=True)] | None = None
    """The older name of `tools`."""
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Field(max_length=2, fail_fast=True)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16, fail_fast=True)] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _only_with_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and not info.data.get("logprobs"):
            raise ValueError("needs 'logprobs' to be true")
        return value


class CompletionRequest(Sampling):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "smollm2-135m-instruct", "prompt": "The sea is", "max_tokens": 32}],
        }
    )

    prompt: str | Annotated[Prompts | TokenIds | Tokenised, Field(min_length=1)]
    """Text or token ids; a list of them asks for one answer each."""
    max_tokens: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Most tokens to generate for one answer; 0 with `echo` for the prompt alone."""
    suffix: str | None = None
    echo: bool | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None


class TopLogprob(Open):
    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class ChatLogprobs(Open):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class Answer(Open):
    role: Literal["assistant"]
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None


class ChatChoice(Open):
    index: int
    message: Answer
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    logprobs: ChatLogprobs | None = None


class Usage(Open):
    """Tokens, as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatResponse(Open):
    id: str
    object: Literal["chat.completion"]
    created: int
    """Seconds since 1970."""
    model: str
    choices: list[ChatChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = None


class CompletionLogprobs(Open):
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] | None = None


class CompletionChoice(Open):
    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: CompletionLogprobs | None = None


class CompletionResponse(Open):
    id: str
    object: Literal["text_completion"]
    created: int
    """Seconds since 1970."""
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = None
