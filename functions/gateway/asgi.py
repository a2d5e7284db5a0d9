"""The gateway behind an ASGI server that is not ours: tests, and whoever serves the function in another way."""

import asyncio
from collections import deque
from collections.abc import Callable

from functions.gateway.exchange import Exchange
from functions.gateway.request_pass import RequestPass, Stages
from shared.web.asgi import Message, RawHeaders, Receive, Send
from shared.web.request_head import RequestHead


class AsgiWriter:
    """Messages leave one after the other, as fast as the server takes them."""

    def __init__(self, send: Send) -> None:
        self.has_left = False
        self._send = send
        self._messages: deque[Message] = deque()
        self._news = asyncio.Event()
        self._sent = asyncio.Event()
        self._has_ended = False

    def begin(self, status: int, headers: RawHeaders) -> None:
        self._put({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, part: bytes, *, more: bool) -> None:
        self._put({"type": "http.response.body", "body": part, "more_body": more})

    @property
    def takes_more(self) -> bool:
        return not self._messages

    async def write_as_read(self, part: bytes, *, more: bool) -> None:
        while self._messages:
            self._sent.clear()
            await self._sent.wait()
        self.write(part, more=more)

    def break_off(self) -> None:
        """The server sees that the application ends before its answer does."""

    def leave(self) -> None:
        """The caller is not there any more."""
        self.has_left = True
        self._messages.clear()
        self._sent.set()

    def end(self) -> None:
        self._has_ended = True
        self._news.set()

    async def pump(self) -> None:
        """Sends until the end."""
        while not self._has_ended or self._messages:
            self._news.clear()
            while self._messages:
                await self._send(self._messages[0])
                if self._messages:
                    self._messages.popleft()
            self._sent.set()
            if not self._has_ended:
                await self._news.wait()

    def _put(self, message: Message) -> None:
        if not self.has_left:
            self._messages.append(message)
            self._news.set()


class Body:
    """A request's body. Once it has come to its end, whoever waits is told when the caller leaves."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_whole = asyncio.Event()

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body"):
            self.is_whole.set()
        return message

    async def until_caller_leaves(self) -> None:
        await self.is_whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def run(stages: Stages, scope: Message, receive: Receive, send: Send, now: Callable[[], float]) -> None:
    """Answers one request."""
    writer, body = AsgiWriter(send), Body(receive)
    exchange = Exchange(RequestHead.of_scope(scope), body.receive, writer, now())
    request_pass = RequestPass(stages, exchange, asyncio.get_running_loop())
    task = request_pass.run()

    async def watch() -> None:
        await body.until_caller_leaves()
        writer.leave()
        request_pass.caller_left()

    beside = [asyncio.create_task(writer.pump())]
    try:
        if task:
            beside.append(asyncio.create_task(watch()))
            await task
        writer.end()
        await beside[0]
    finally:
        for each in beside:
            each.cancel()
