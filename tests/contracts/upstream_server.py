"""A server that answers with whatever bytes a test gives it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Script = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One connection that a client made."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        """1 for the first connection."""
        self._reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, head and body; IncompleteReadError when the client closed."""
        head, length = await self.head()
        return head + await self._reader.readexactly(length or 0)

    async def head(self) -> tuple[bytes, int | None]:
        """The next request's head, and how long its body is said to be."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        return head, next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)

    async def body(self, length: int | None) -> AsyncIterator[bytes]:
        """A body in parts as they come; in chunks when there is no length. IncompleteReadError when it breaks off."""
        while length is None and (size := int(await self._reader.readuntil(b"\r\n"), 16)):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        while length and (part := await self._reader.read(min(length, 65536))):
            length -= len(part)
            yield part

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_closed(self) -> None:
        """Waits until the client has closed the connection."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionResetError:
            return


class Server:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.visits = 0
        self.gone = asyncio.Event()
        """Set once a visit's script has come to its end."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        try:
            await self._script(Visit(self.visits, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
