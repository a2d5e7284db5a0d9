"""A prompt that does not fit into a model's context, in the words and with the code that clients look for: OpenAI's."""

import re
from typing import Any

from shared.core.errors import InvalidRequest

CODE = "context_length_exceeded"
OPENING = "This model's maximum context length"
SIGNS = re.compile(
    r"exceed_context_size|context_length_exceeded|maximum context length|available context size|model's context length"
    r"|prompt is too long|input token count .* exceeds|maximum number of tokens allowed|max_new_tokens.* must be <=",
    re.DOTALL,
)
"""How OpenAI, vLLM, llama.cpp, SGLang, Anthropic, Gemini and text-generation-inference say it."""
LIMIT = re.compile(
    r"(?:context length(?: is|:)?|context size|allowed|must be <=)[ (]*(\d+)|> (\d+) maximum|(\d+) maximum context",
    re.ASCII,
)
USED = re.compile(
    r"(?:request|input|prompt|messages|token count|too long|resulted in|requested|contains?)[ (:]*(?:at least )?(\d+)",
    re.ASCII,
)


def too_long(most: int, used: int | None, field: str) -> InvalidRequest:
    """`used` are the tokens of the request's field; None: more than `most`, not counted."""
    has = f"more than {most}" if used is None else used
    message = f"{OPENING} is {most} tokens. However, your {field} resulted in {has} tokens. "
    return InvalidRequest(message + f"Please reduce the length of the {field}.", param=field, code=CODE)


def recognised(refusal: Any, field: str) -> InvalidRequest | None:
    """The error for a server's error object, or its text, if it says that the prompt is too long."""
    error = refusal if isinstance(refusal, dict) else {"message": refusal}
    message = error.get("message")
    text = message if isinstance(message, str) else ""
    if error.get("code") != CODE and not SIGNS.search(f"{error.get('type')} {text[:2000]}"):
        return None
    if text.startswith(OPENING):
        return InvalidRequest(text, param=field, code=CODE)
    most, used = _count(error.get("n_ctx"), LIMIT, text), _count(error.get("n_prompt_tokens"), USED, text)
    if most is None:
        return InvalidRequest(f"{OPENING} is exceeded. {text}".strip(), param=field, code=CODE)
    return too_long(most, used if used is not None and used >= most else None, field)


def _count(stated: Any, pattern: re.Pattern[str], text: str) -> int | None:
    if isinstance(stated, int) and not isinstance(stated, bool):
        return stated
    found = pattern.search(text[:2000])
    return int(next(filter(None, found.groups()))[:12]) if found else None
