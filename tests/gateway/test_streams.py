"""Streams over real connections: alive while a model starts, and stopped for a caller who leaves."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shared.adapters.httptools_upstream import HttptoolsUpstream
from tests.gateway.conftest import CHAT, World

KEY = {"authorization": "Bearer prod-key-acme-1"}
KEEP_ALIVE = ": keep-alive\n\n"
PART = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'


class Model:
    """A model's server that does what the test says, and notices when it is left alone."""

    def __init__(self, answer: "Answer") -> None:
        self._answer = answer
        self.is_busy = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.left_alone = asyncio.Event()

    async def tokens(self, wait_s: float) -> AsyncIterator[bytes]:
        try:
            while True:
                yield PART
                await asyncio.sleep(wait_s)
                self.is_busy.set()
        finally:
            self.left_alone.set()

    def application(self) -> Starlette:
        async def serve(request: Request) -> Response:
            return await self._answer(self, request)

        return Starlette(routes=[Route("/{path:path}", serve, methods=["POST"])])


@asynccontextmanager
async def serving(application: Callable[..., Awaitable[None]]) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = server.force_exit = True
        await task


@asynccontextmanager
async def platform(tmp_path: Path, model: Model) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(model.application()) as model_url:
        upstream = HttptoolsUpstream(idle_s=1)
        world = World(tmp_path, upstream, worker_url=model_url, keep_alive_s=0.2)
        async with serving(world.gateway) as url, httpx.AsyncClient(base_url=url, headers=KEY, timeout=30) as client:
            yield client
        await upstream.close()


def ask_streamed(tmp_path: Path, model: Model) -> str:
    """All that is said; the model answers only once the caller has been kept waiting for a while."""

    async def run() -> str:
        text = ""
        async with (
            platform(tmp_path, model) as client,
            client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as response,
        ):
            async for part in response.aiter_text():
                text += part
                if text.count(KEEP_ALIVE) >= 2:
                    model.may_answer.set()
        return text

    return asyncio.run(run())


Answer = Callable[[Model, Request], Awaitable[Response]]


async def slow_then_answer(model: Model, _: Request) -> Response:
    await model.may_answer.wait()
    return Response(PART + b"data: [DONE]\n\n", media_type="text/event-stream")


async def slow_then_refuse(model: Model, _: Request) -> Response:
    await model.may_answer.wait()
    return JSONResponse({"error": {"message": "no such thing"}}, 400)


async def slow_then_whole(model: Model, _: Request) -> Response:
    await model.may_answer.wait()
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return JSONResponse({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


async def endless(model: Model, _: Request) -> Response:
    return StreamingResponse(model.tokens(0.01), media_type="text/event-stream")


async def silent(model: Model, request: Request) -> Response:
    await request.body()
    model.is_busy.set()
    while (await request.receive())["type"] != "http.disconnect":
        continue
    model.left_alone.set()
    return Response()


def test_a_silent_stream_is_kept_alive_until_its_first_token(tmp_path: Path) -> None:
    text = ask_streamed(tmp_path, Model(slow_then_answer))
    assert text.count(KEEP_ALIVE) >= 2
    assert text.endswith("data: [DONE]\n\n")


def test_an_error_after_the_head_was_sent_is_an_event(tmp_path: Path) -> None:
    last = ask_streamed(tmp_path, Model(slow_then_refuse)).strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "no such thing"


def test_an_answer_in_one_piece_after_the_head_becomes_events(tmp_path: Path) -> None:
    text = ask_streamed(tmp_path, Model(slow_then_whole))
    assert '"Hi"' in text
    assert text.endswith("data: [DONE]\n\n")


def test_an_event_reaches_the_caller_while_its_model_is_still_silent_about_the_next(tmp_path: Path) -> None:
    """Kong #14425: what had come waited for the end."""

    async def one_event(model: Model, _: Request) -> Response:
        return StreamingResponse(model.tokens(60), media_type="text/event-stream")

    async def run() -> bytes:
        async with (
            platform(tmp_path, Model(one_event)) as client,
            client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as response,
            asyncio.timeout(5),
        ):
            return await anext(response.aiter_raw())

    assert asyncio.run(run()) == PART


@pytest.mark.parametrize("answer", [endless, silent])
def test_a_caller_who_leaves_stops_the_model(tmp_path: Path, answer: Answer) -> None:
    async def run() -> None:
        model = Model(answer)
        async with platform(tmp_path, model) as client:
            request = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT | {"stream": True}))
            await model.is_busy.wait()
            request.cancel()
            async with asyncio.timeout(30):
                await model.left_alone.wait()

    asyncio.run(run())
