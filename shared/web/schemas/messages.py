"""The messages of a conversation, and the tools a model may call, in OpenAI's shapes."""

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.web.schemas.strict import Open

MOST_PARTS = 1024
MOST_TOOLS = 128
Name = Annotated[str, Field(min_length=1)]


class TextPart(Open):
    type: Literal["text"]
    text: str


class RefusalPart(Open):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Open):
    url: Name
    """The image itself as `data:image/png;base64,…`; for servers elsewhere that fetch it, also `https://…`."""
    detail: str | None = None


class ImagePart(Open):
    type: Literal["image_url"]
    image_url: ImageUrl


class Audio(Open):
    data: str
    """Base64."""
    format: str


class AudioPart(Open):
    type: Literal["input_audio"]
    input_audio: Audio


class FilePart(Open):
    type: Literal["file"]
    file: dict[str, Any]


Texts = Annotated[list[TextPart], Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)]
UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
UserParts = Annotated[list[UserPart], Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
AssistantParts = Annotated[list[AssistantPart], Field(max_length=MOST_PARTS, fail_fast=True)]


class FunctionCall(Open):
    name: Name
    arguments: str
    """JSON, as the model wrote it: it may be malformed."""


class FunctionToolCall(Open):
    id: str
    type: Literal["function"]
    function: FunctionCall


class CustomCall(Open):
    name: Name
    input: str


class CustomToolCall(Open):
    id: str
    type: Literal["custom"]
    custom: CustomCall


ToolCall = Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")]
ToolCalls = Annotated[list[ToolCall], Field(max_length=MOST_TOOLS, fail_fast=True)]


class SystemMessage(Open):
    role: Literal["system", "developer"]
    content: str | Texts
    name: str | None = None


class UserMessage(Open):
    role: Literal["user"]
    content: str | UserParts
    name: str | None = None


class AssistantMessage(Open):
    role: Literal["assistant"]
    content: str | AssistantParts | None = None
    """May be absent when the answer was a tool call."""
    refusal: str | None = None
    tool_calls: ToolCalls | None = None
    function_call: FunctionCall | None = None
    name: str | None = None


class ToolMessage(Open):
    role: Literal["tool"]
    content: str | Texts | None
    tool_call_id: str


class FunctionMessage(Open):
    role: Literal["function"]
    content: str | None
    name: Name


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class FunctionDefinition(Open):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments."""
    strict: bool | None = None


class FunctionTool(Open):
    type: Literal["function"]
    function: FunctionDefinition


class CustomDefinition(Open):
    name: Name
    description: str | None = None


class CustomTool(Open):
    type: Literal["custom"]
    custom: CustomDefinition


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]
Tools = Annotated[list[Tool], Field(max_length=MOST_TOOLS, fail_fast=True)]


class NamedFunction(Open):
    name: Name


class FunctionChoice(Open):
    type: Literal["function"]
    function: NamedFunction


class CustomChoice(Open):
    type: Literal["custom"]
    custom: NamedFunction


class AllowedTools(Open):
    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], Field(max_length=MOST_TOOLS, fail_fast=True)]


class AllowedToolsChoice(Open):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


NamedToolChoice = Annotated[FunctionChoice | CustomChoice | AllowedToolsChoice, Field(discriminator="type")]
ToolChoice = Literal["none", "auto", "required"] | NamedToolChoice
