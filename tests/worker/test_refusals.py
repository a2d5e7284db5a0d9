"""What engines say when they refuse, in each of the shapes they say it in."""

from typing import Any

import msgspec
import pytest

from jobs.ml_worker.engines import refusals

SCHEMA = "Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #: no"


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (400, {"error": {"code": 400, "message": "bad", "type": "invalid_request_error"}}, (400, "invalid_request")),
        (400, {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, (400, "invalid_request")),
        (422, {"detail": "bad"}, (400, "invalid_request")),
        (401, {"error": "Unauthorized"}, (502, "upstream_failed")),
        (404, {"detail": "Not Found"}, (502, "upstream_failed")),
        (500, {"error": {"code": 500, "message": "broken"}}, (502, "upstream_failed")),
        (503, {"error": {"code": 503, "message": "Loading model"}}, (503, "model_loading")),
    ],
)
def test_every_shape_becomes_one_of_ours(status: int, answer: Any, expected: tuple[int, str]) -> None:
    error = refusals.from_answer(status, msgspec.json.encode(answer), "messages")
    assert (error.status, error.code) == expected


def test_an_answer_that_is_no_json_is_an_error_too() -> None:
    assert refusals.from_answer(500, b"<html>", "messages").status == 502


@pytest.mark.parametrize(
    "told",
    [
        {"code": 400, "message": "request (9 tokens) exceeds …", "type": "exceed_context_size_error"},
        {"code": 400, "message": "This model's maximum context length is 8 tokens.", "type": "BadRequestError"},
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart(told: dict[str, Any]) -> None:
    error = refusals.from_told(told, 400, "prompt")
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "prompt")


def test_the_field_at_fault_is_named_and_library_noise_left_out() -> None:
    told = {"message": "Field 'top_k': [json.exception.type_error.302] type must be number", "code": 400}
    error = refusals.from_told(told, 400, "messages")
    assert (error.param, error.message) == ("top_k", "Field 'top_k': type must be number")
    assert refusals.from_told({"message": SCHEMA}, 400, "messages").message == "JSON schema error at #: no"
