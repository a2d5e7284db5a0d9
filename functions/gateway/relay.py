"""An upstream's answer on its way to the caller: whole, or part by part as it arrives."""

from typing import NamedTuple

from functions.gateway.exchange import Exchange
from functions.gateway.transfer_rate import TooSlow, TransferRate
from shared.ports.upstream import Response, UpstreamError
from shared.web.asgi import RawHeaders

PASSED_BACK = (
    b"content-type",
    b"content-disposition",
    b"location",
    b"retry-after",
    b"allow",
    b"etag",
    b"cache-control",
    b"preference-applied",
)
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
"""The last for nginx, which holds an answer back otherwise."""
MOST_WHOLE_BYTES = 1024 * 1024
PIECE_BYTES = 8 * 1024
"""Of a file on its way to its caller: small enough to tell how fast the caller reads."""


class CutOff(Exception):
    """The answer ended in its middle. Only a connection that ends as abruptly tells the caller."""


async def send_whole(exchange: Exchange, status: int, headers: RawHeaders, content: bytes) -> None:
    """Sends an answer that is there in one piece, with its length."""
    await exchange.begin(status, [*headers, (b"content-length", b"%d" % len(content))])
    await exchange.write(content, more=False)


class ShortAnswer(NamedTuple):
    """A function's answer, read to its end: the function is free, however slowly the caller reads."""

    status: int
    headers: RawHeaders
    content: bytes

    @classmethod
    async def of(cls, response: Response) -> "ShortAnswer | None":
        """None when it is not short."""
        length = _length(response)
        if not length.isdigit() or int(length) > MOST_WHOLE_BYTES:
            return None
        return cls(response.status, passed_back(response), await response.read())

    async def send(self, exchange: Exchange) -> None:
        await send_whole(exchange, self.status, self.headers, self.content)


async def send_on(exchange: Exchange, response: Response, rate: TransferRate) -> None:
    """Sends a function's answer part by part, never held whole; CutOff for a caller who reads too slowly."""
    length, headers = _length(response), passed_back(response)
    await exchange.begin(response.status, [*headers, (b"content-length", length)] if length else headers)
    try:
        async for chunk in response.chunks():
            for start in range(0, len(chunk), PIECE_BYTES):
                piece = chunk[start : start + PIECE_BYTES]
                await rate.wait_for(exchange.write(piece, more=True))
                rate.moved(len(piece))
    except TooSlow as error:
        raise CutOff("the caller reads too slowly") from error
    except UpstreamError as error:
        if is_stream(response):
            raise
        raise CutOff(str(error)) from error
    await exchange.write(b"", more=False)


def _length(response: Response) -> bytes:
    """As the upstream announces it; empty where it is the length of something else, a body with a coding."""
    return b"" if response.header(b"content-encoding") else response.header(b"content-length")


def passed_back(response: Response) -> RawHeaders:
    """The headers that concern the caller; what cannot stand in a header is dropped."""
    return [(name, value) for name in PASSED_BACK if (value := response.header(name)) and value.isascii()]


def is_stream(response: Response) -> bool:
    return response.header(b"content-type").strip().lower().startswith(b"text/event-stream")
