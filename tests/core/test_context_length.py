"""Whoever says that a prompt is too long: a client reads OpenAI's words and code."""

from typing import Any

import pytest

from shared.core.context_length import recognised, too_long

OPENAI = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."


@pytest.mark.parametrize(
    "refusal",
    [
        {"message": OPENAI, "code": "context_length_exceeded"},
        {"message": "Please reduce your prompt.", "code": "context_length_exceeded"},
        {"message": OPENAI, "type": "BadRequestError", "code": 400},
        {
            "code": 400,
            "message": "request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 9001,
            "n_ctx": 8192,
        },
        "The input (9001 tokens) is longer than the model's context length (8192 tokens).",
        {"message": "prompt is too long: 9001 tokens > 8192 maximum"},
        {"message": "The input token count (9001) exceeds the maximum number of tokens allowed (8192)."},
        {"message": "Prompt contains 9001 tokens, too large for model with 8192 maximum context length"},
        {"message": "The prompt is too long: 9001, model maximum context length: 8192"},
        {"message": "`inputs` tokens + `max_new_tokens` must be <= 8192"},
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_openais_words(refusal: Any) -> None:
    error = recognised(refusal, "messages")
    assert error
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert error.type == "invalid_request_error"
    assert error.message.startswith("This model's maximum context length is ")
    if "9001" in str(refusal):
        assert error.message.startswith(OPENAI)


@pytest.mark.parametrize(
    "refusal",
    [{"message": "bad"}, {}, "", None, {"message": 5, "code": 5}, {"message": "'temperature' must be <= 2"}],
)
def test_another_refusal_is_none(refusal: Any) -> None:
    assert recognised(refusal, "messages") is None


def test_the_field_and_the_numbers_are_named() -> None:
    assert too_long(8, 9, "prompt").message == (
        "This model's maximum context length is 8 tokens. However, your prompt resulted in 9 tokens. "
        "Please reduce the length of the prompt."
    )
    assert "more than 8 tokens" in too_long(8, None, "messages").message
