"""The messages of a conversation, and the tools a model may call, in OpenAI's shapes."""

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.web.schemas.strict import Known

MOST_PARTS = 1024
MOST_TOOLS = 128
OF_ANSWERS = frozenset(
    {"annotations", "audio", "index", "parsed", "parsed_arguments", "reasoning", "reasoning_content"}
)
"""Fields of an answer, its calls and their functions that a client may send back in the conversation."""
Name = Annotated[str, Field(min_length=1)]


class TextPart(Known):
    type: Literal["text"]
    text: str


class RefusalPart(Known):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Known):
    url: Name
    """The image itself as `data:image/png;base64,…`; for servers elsewhere that fetch it, also `https://…`."""
    detail: str | None = None


class ImagePart(Known):
    type: Literal["image_url"]
    image_url: ImageUrl


class Audio(Known):
    data: str
    """Base64."""
    format: str


class AudioPart(Known):
    type: Literal["input_audio"]
    input_audio: Audio


class FileContent(Known):
    file_id: str | None = None
    file_data: str | None = None
    """Base64."""
    filename: str | None = None


class FilePart(Known):
    type: Literal["file"]
    file: FileContent


Texts = Annotated[list[TextPart], Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)]
UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
UserParts = Annotated[list[UserPart], Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
AssistantParts = Annotated[list[AssistantPart], Field(max_length=MOST_PARTS, fail_fast=True)]


class FunctionCall(Known):
    name: Name
    arguments: str
    """JSON, as the model wrote it: it may be malformed."""
    parsed_arguments: Any = None
    """What OpenAI's clients have read of them."""


class FunctionToolCall(Known):
    index: int | None = None
    """As the parts of a stream have it."""
    id: str
    type: Literal["function"]
    function: FunctionCall


class CustomCall(Known):
    name: Name
    input: str


class CustomToolCall(Known):
    index: int | None = None
    id: str
    type: Literal["custom"]
    custom: CustomCall


ToolCall = Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")]
ToolCalls = Annotated[list[ToolCall], Field(max_length=MOST_TOOLS, fail_fast=True)]


class SystemMessage(Known):
    role: Literal["system", "developer"]
    content: str | Texts
    name: str | None = None


class UserMessage(Known):
    role: Literal["user"]
    content: str | UserParts
    name: str | None = None


class AssistantMessage(Known):
    role: Literal["assistant"]
    content: str | AssistantParts | None = None
    """May be absent when the answer was a tool call."""
    refusal: str | None = None
    tool_calls: ToolCalls | None = None
    function_call: FunctionCall | None = None
    name: str | None = None
    annotations: list[dict[str, Any]] | None = None
    """This and the next ones tell of an earlier answer; no model gets them."""
    audio: dict[str, Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    parsed: Any = None
    """What OpenAI's clients have read of the content."""


class ToolMessage(Known):
    role: Literal["tool"]
    content: str | Texts | None
    tool_call_id: str
    name: str | None = None
    """The function's, as OpenAI's first examples send it."""


class FunctionMessage(Known):
    role: Literal["function"]
    content: str | None
    name: Name


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class FunctionDefinition(Known):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments."""
    strict: bool | None = None


class FunctionTool(Known):
    type: Literal["function"]
    function: FunctionDefinition


class CustomDefinition(Known):
    name: Name
    description: str | None = None


class CustomTool(Known):
    type: Literal["custom"]
    custom: CustomDefinition


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]
Tools = Annotated[list[Tool], Field(max_length=MOST_TOOLS, fail_fast=True)]


class NamedFunction(Known):
    name: Name


class FunctionChoice(Known):
    type: Literal["function"]
    function: NamedFunction


class CustomChoice(Known):
    type: Literal["custom"]
    custom: NamedFunction


class AllowedTools(Known):
    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], Field(max_length=MOST_TOOLS, fail_fast=True)]


class AllowedToolsChoice(Known):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


NamedToolChoice = Annotated[FunctionChoice | CustomChoice | AllowedToolsChoice, Field(discriminator="type")]
ToolChoice = Literal["none", "auto", "required"] | NamedToolChoice
