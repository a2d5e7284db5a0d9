"""Reads requests out of the bytes of a connection. As httptools' delegate it is told their parts."""

from functools import lru_cache
from typing import Protocol
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url

from shared.core.errors import HeadersTooLarge, InvalidRequest
from shared.web.asgi import RawHeaders
from shared.web.http1.bounds import MOST_HEADERS

SHORT_BODY_BYTES = 64 * 1024
REMEMBERED_URL_BYTES = 256
LOOKED_AT = frozenset({b"content-length", b"expect", b"host", b"transfer-encoding"})

Place = tuple[str, bytes, bytes]
"""Path, raw path and query."""


class Listener(Protocol):
    def request_begins(self) -> None: ...

    def head_is_read(self, place: Place, method: str, version: str, *, stays: bool) -> None:
        """`stays`: the connection may carry another request."""
        ...

    def body_is_read(self, part: bytes) -> None: ...

    def request_is_read(self) -> None: ...


class RequestReader:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.on_body = listener.body_is_read
        self.on_message_complete = listener.request_is_read
        self.in_head = True
        self.head_bytes = self._read_bytes = self._header_lines = 0
        """Since the request began, or since there was a byte of its body."""
        self.headers: RawHeaders = []
        self._url = b""
        self._parser = self._new_parser()
        self._hosts, self._length = 0, b"0"
        self.expects_continue = self._comes_in_chunks = False

    def feed(self, data: bytes) -> None:
        """InvalidRequest when they are no requests."""
        self._read_bytes = len(data)
        self.head_bytes += self._read_bytes
        while data:
            data = self._fed(data)

    @property
    def has_short_body(self) -> bool:
        """Whether little is to come, and the caller sends it without being asked."""
        if self._comes_in_chunks or self.expects_continue or not self._length.isdigit():
            return False
        return int(self._length[:9]) <= SHORT_BODY_BYTES

    # What the parser tells

    def on_message_begin(self) -> None:
        self._url, self.headers, self.in_head, self.head_bytes = b"", [], True, self._read_bytes
        self._header_lines, self._hosts, self._length = 0, 0, b"0"
        self.expects_continue = self._comes_in_chunks = False
        self._listener.request_begins()

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_lines += 1
        if self._header_lines > MOST_HEADERS:
            raise HeadersTooLarge(f"A head or trailers may have {MOST_HEADERS} lines at most.")
        if self.in_head:  # else a trailer
            name, value = name.lower(), value.rstrip(b" \t")
            self.headers.append((name, value))
            if name in LOOKED_AT:
                self._look_at(name, value)

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser.should_upgrade():
            return
        version = parser.get_http_version()
        if self._hosts > 1 or (not self._hosts and version == "1.1"):
            # Where RFC 9112, 3.2 wants one: two proxies may take a request of two hosts for different ones.
            raise InvalidRequest("A request has exactly one Host header.", code="invalid_http")
        place = _remembered(self._url) if len(self._url) <= REMEMBERED_URL_BYTES else _place(self._url)
        self.in_head = False
        self._listener.head_is_read(
            place, parser.get_method().decode("ascii"), version, stays=parser.should_keep_alive()
        )

    def _look_at(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
        elif name == b"content-length":
            self._length = value
        elif name == b"expect":
            self.expects_continue = value.lower() == b"100-continue"
        else:
            self._comes_in_chunks = True

    def _fed(self, data: bytes) -> bytes:
        """What is still to be fed to the parser."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as offer:
            if self._parser.get_method() == b"CONNECT":
                raise InvalidRequest("There are no tunnels here.", code="invalid_http") from None
            return self._without_upgrade() + data[offer.args[0] :]
        except HttpParserError as error:
            if isinstance(found := error.__context__, InvalidRequest):  # what a method above raised
                raise found from None
            raise InvalidRequest("Invalid HTTP request received.", code="invalid_http") from None
        return b""

    def _without_upgrade(self) -> bytes:
        """The head that has just been read, for a new parser: it may not ask this one for another protocol, and
        httptools would lose its body."""
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        self._parser = self._new_parser()
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self._url, version, b"".join(lines))

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what comes then is not answered, but no error
        return parser


def _place(url: bytes) -> Place:
    """What is no URL raises."""
    parts = parse_url(url)
    path = parts.path.decode("ascii")
    return unquote(path) if "%" in path else path, parts.path, parts.query or b""


_remembered = lru_cache(1024)(_place)
