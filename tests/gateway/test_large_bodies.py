"""Large bodies are looked into beside the event loop: whoever else asks is answered meanwhile."""

import asyncio
import json
import threading
from typing import Any

import pytest

from functions.gateway import body
from shared.core.errors import InvalidRequest
from shared.web.asgi import LARGE_BYTES, SIMPLE_BYTES, look_into
from shared.web.structure import PIECE_BYTES
from tests.gateway.conftest import CHAT, World, problem


@pytest.mark.parametrize(
    ("content", "aside"),
    [
        (b"x", False),
        (b"x" * (LARGE_BYTES + 1), True),
        (b"x" * LARGE_BYTES, False),
        (b"," * SIMPLE_BYTES, False),
        (b"{}," * SIMPLE_BYTES, True),
    ],
    ids=["small", "large", "long text", "short", "many values"],
)
def test_a_body_that_is_large_or_holds_much_is_looked_into_by_another_thread(content: bytes, *, aside: bool) -> None:
    thread = asyncio.run(look_into(content, threading.get_ident))
    assert (thread != threading.get_ident()) is aside


def test_a_large_request_is_answered_like_a_small_one(world: World) -> None:
    text = "[" * LARGE_BYTES
    fields: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    assert world.chat(**fields).status_code == 200
    assert json.loads(world.upstream.requests[-1].body) == CHAT | fields


@pytest.mark.parametrize(
    "items", [b",".join([b"{}"] * 20_000), b",".join([b"0"] * 60_000), b",".join([b'""'] * 60_000)]
)
@pytest.mark.parametrize("content", [b'"messages":[%b]', b'"messages":[{"role":"user","content":[%b]}]'])
def test_400_for_more_in_messages_than_any_conversation_has(world: World, content: bytes, items: bytes) -> None:
    response = world.request("POST", "/v1/chat/completions", content=b'{"model":"small",%b}' % (content % items))
    assert problem(response) == (400, "too_many_values", None)
    assert not world.upstream.requests


def test_a_prompt_of_many_tokens_is_one_prompt_and_is_sent_as_it_came(world: World) -> None:
    content = b'{"model":"small","prompt":[%b]}' % b",".join([b"7"] * 200_000)
    assert world.request("POST", "/v1/completions", content=content).status_code == 200
    assert world.upstream.requests[-1].body == content


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [
        (b'"a, b"', 1),
        (b"[]", 1),
        (b"[ 1, 2, 3]", 1),
        (b'["a"]', 1),
        (b'["a, [b]", "\\"c"]', 2),
        (b"[[1, 2], [3]]", 2),
        (b'[[1], "a", "b"]', 3),
    ],
)
def test_each_prompt_gets_an_answer(prompt: bytes, answers: int) -> None:
    assert body.inference(b'{"model":"small","prompt":%b}' % prompt, 64).answers == answers


@pytest.mark.parametrize("before", [0, 1, PIECE_BYTES - 2, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES])
def test_bytes_that_are_no_text_are_found_wherever_they_stand(before: int) -> None:
    with pytest.raises(InvalidRequest, match=f"byte {before + 3}\\."):
        body.check_text(b"x" * before + "€".encode() + b"\xff" + b"x" * 10)
    body.check_text(b"x" * before + "€".encode() + b"x" * 10)


def test_what_holds_too_much_is_compared_as_it_came() -> None:
    content = b'{"b": [%b], "a": 1}' % b",".join([b"[]"] * 20_000)
    assert body.canonical(content) == content
    assert body.canonical(b'{"b": [], "a": 1}') == b'{"a":1,"b":[]}'


def test_400_for_a_large_body_of_brackets(world: World) -> None:
    content = b'{"model":"small","x":[%b]}' % b",".join([b"[]"] * 200_000)
    response = world.request("POST", "/v1/chat/completions", content=content)
    assert problem(response) == (400, "too_many_values", None)
    with pytest.raises(InvalidRequest):
        body.inference(content, 64)
