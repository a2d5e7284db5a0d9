"""One request on its way through the pipeline, and what the stages have learnt of it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from shared.core.keys import Caller
from shared.core.quota import Ticket
from shared.manifest import Route
from shared.web.incoming import request_id
from shared.web.reply import Reply

if TYPE_CHECKING:
    from functions.gateway.body import Inference

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLIENT_CLOSED_REQUEST = 499
"""What the metrics count when the caller left before the answer began (nginx's number)."""


class Exchange:
    __slots__ = (
        "answered_from",
        "asked",
        "body_bytes_sent",
        "caller",
        "content",
        "estimated_input",
        "events_sent",
        "headers",
        "late_headers",
        "method",
        "model",
        "params",
        "path",
        "peer",
        "query",
        "raw_headers",
        "receive",
        "reply_headers",
        "request_id",
        "route",
        "send",
        "started",
        "status",
        "ticket",
        "tokens_in",
        "tokens_out",
        "usage_is_estimated",
    )

    def __init__(self, scope: Message, receive: Receive, send: Send, started: float) -> None:
        self.receive = receive
        self.send = send
        self.started = started
        """On the monotonic clock, in seconds."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self.raw_headers)
        self.peer: str = client[0] if (client := scope.get("client")) else ""
        """What the server says of the connection's other end; see shared.core.addresses for what it is worth."""
        self.request_id = request_id(self.header(b"x-request-id"))
        self.route: Route | None = None
        self.params: dict[str, str] = {}
        self.caller: Caller | None = None
        self.content: bytes | None = None
        """The body, once it has been read."""
        self.asked: Inference | None = None
        """What the body of an inference request asks for, once it has been decoded."""
        self.model = ""
        self.answered_from = ""
        """`cache` or `replay` when the answer was there already, so that it costs nothing."""
        self.tokens_in = 0
        self.tokens_out = 0
        self.usage_is_estimated = False
        """Whether the upstream told no count of them, or broke off before it did."""
        self.reply_headers: list[tuple[str, str]] = [("x-request-id", self.request_id)]
        """Sent with whatever answer is given."""
        self.status = 0
        """0 until the answer has begun."""
        self.body_bytes_sent = 0
        self.events_sent = 0
        """Of a stream."""
        self.ticket: Ticket | None = None
        """What the request took of the caller's limits."""
        self.estimated_input = 0
        """Tokens of the request, before an upstream has counted them."""
        self.late_headers: Callable[[], list[tuple[bytes, bytes]]] = list
        """Asked for when the answer begins."""

    def header(self, name: bytes) -> str:
        """A request header by its lower-case name; empty when it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")

    def header_lines(self, name: bytes) -> str:
        """All lines of a request header, in their order, joined by commas."""
        return ", ".join(value.decode("latin-1") for each, value in self.raw_headers if each == name)

    @property
    def route_name(self) -> str:
        return self.route.name if self.route else "none"

    async def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Sends the answer's head."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*headers, *self.reply_headers)]
        raw += self.late_headers()
        self.status = status
        await self.send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, chunk: bytes, *, more: bool) -> None:
        """Sends a part of the answer's body; the last one with `more=False`."""
        self.body_bytes_sent += len(chunk)
        await self.send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def reply(self, reply: Reply) -> None:
        """Sends a whole answer."""
        await self.begin(reply.status, [*reply.headers, ("content-length", str(len(reply.body)))])
        await self.write(reply.body, more=False)
