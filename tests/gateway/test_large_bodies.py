"""Large bodies are looked into beside the event loop: whoever else asks is answered meanwhile."""

import asyncio
import json
import threading
from typing import Any

import pytest

from functions.gateway import body
from shared.core.errors import InvalidRequest
from shared.web.asgi import LARGE_BYTES, look_into
from tests.gateway.conftest import CHAT, World, problem


@pytest.mark.parametrize(("size", "aside"), [(10, False), (LARGE_BYTES + 1, True)])
def test_a_large_body_is_looked_into_by_another_thread(size: int, *, aside: bool) -> None:
    thread = asyncio.run(look_into(b"x" * size, threading.get_ident))
    assert (thread != threading.get_ident()) is aside


def test_a_large_request_is_answered_like_a_small_one(world: World) -> None:
    text = "[" * LARGE_BYTES
    fields: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    assert world.chat(**fields).status_code == 200
    assert json.loads(world.upstream.requests[-1].body) == CHAT | fields


def test_400_for_a_large_body_of_brackets(world: World) -> None:
    content = b'{"model":"small","x":[%b]}' % b",".join([b"[]"] * 200_000)
    response = world.request("POST", "/v1/chat/completions", content=content)
    assert problem(response) == (400, "too_many_values", None)
    with pytest.raises(InvalidRequest):
        body.inference(content, 64)
