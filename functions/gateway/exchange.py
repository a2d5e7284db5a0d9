"""One request on its way through the pipeline, and what the stages have learnt of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.core.errors import OmniError
from shared.core.keys import Caller
from shared.core.pricing import NANO
from shared.core.quota import Ticket
from shared.manifest import Route
from shared.surfaces.request import InferenceRequest
from shared.surfaces.tally import AnswerTally
from shared.web.asgi import Message, RawHeaders, Receive, Send
from shared.web.incoming import request_id
from shared.web.reply import Reply

if TYPE_CHECKING:
    from functions.gateway.charge import Charge


RECORDED = "omni.recorded"
"""A field of messages that is no server's business."""


SHORTEST_KEY = 12
"""What is shorter is no key, and may well stand in one."""


class Exchange:
    __slots__ = (
        "_answer_headers",
        "answered_from",
        "asked",
        "body_bytes_sent",
        "caller",
        "charge",
        "content",
        "cost",
        "estimated_input",
        "headers",
        "late_headers",
        "method",
        "model",
        "path",
        "peer",
        "query",
        "raw_headers",
        "receive",
        "reply_headers",
        "request_id",
        "route",
        "scope",
        "send",
        "sent_at",
        "started",
        "status",
        "stop",
        "tally",
        "ticket",
        "tokens_cached",
        "tokens_in",
        "tokens_out",
        "usage_is_estimated",
    )

    def __init__(self, scope: Message, receive: Receive, send: Send, started: float) -> None:
        self.scope = scope
        self.receive = receive
        self.stop: Callable[[OmniError], bool] | None = None
        """Ends the answer for its caller alone, when others wait for it too; False: all that is done for it may end."""
        self.send = send
        self.started = started
        """On the monotonic clock, in seconds."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.raw_headers: RawHeaders = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self.raw_headers)
        self.peer: str = client[0] if (client := scope.get("client")) else ""
        """What the server says of the connection's other end; see shared.core.addresses for what it is worth."""
        self.request_id = request_id(self._id_of_its_own())
        self.route: Route | None = None
        self.caller: Caller | None = None
        self.content: bytes | None = None
        """The body, once it has been read."""
        self.asked: InferenceRequest | None = None
        """What the body of an inference request asks for, once it has been decoded."""
        self.model = ""
        self.answered_from = ""
        """`cache` or `replay` when the answer was there already, so that it costs nothing."""
        self.tokens_in = 0
        self.tokens_cached = 0
        """Of those of the request, in the upstream's own cache."""
        self.tokens_out = 0
        self.usage_is_estimated = False
        """Whether the upstream did not report all of them, or broke off before it did."""
        self.cost: int | None = 0
        """Nano-dollars; None when the model has no price."""
        self.charge: Charge | None = None
        """What keeps the cost, while the request is with its upstream."""
        self.sent_at = 0.0
        """When an upstream was asked last, on the monotonic clock; 0 before."""
        self.reply_headers: RawHeaders = [(b"x-request-id", self.request_id.encode())]
        """Sent with whatever answer is given."""
        self._answer_headers: RawHeaders = []
        self.status = 0
        """0 until the answer has begun."""
        self.body_bytes_sent = 0
        self.tally = AnswerTally()
        """What came of the model's answer."""
        self.ticket: Ticket | None = None
        """What the request took of the caller's limits."""
        self.estimated_input = 0
        """Tokens of the request, before an upstream has counted them."""
        self.late_headers: Callable[[], RawHeaders] = list
        """Asked for when the answer begins."""

    def header(self, name: bytes) -> str:
        """A request header by its lower-case name; empty when it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")

    def _id_of_its_own(self) -> str:
        """The caller's, unless it is of the key that it sends, or has it in it: it is logged and told to upstreams."""
        given = self.header(b"x-request-id")
        if len(given) < SHORTEST_KEY:
            return given
        for sent in (self.header(b"authorization"), self.header(b"x-api-key")):
            key = sent.rpartition(" ")[2]
            if given in sent or (len(key) >= SHORTEST_KEY and key in given):
                return ""
        return given

    def header_lines(self, name: bytes) -> str:
        """All lines of a request header, in their order, joined by commas."""
        return ", ".join(value.decode("latin-1") for each, value in self.raw_headers if each == name)

    @property
    def cost_usd(self) -> float | None:
        return None if self.cost is None else self.cost / NANO

    @property
    def declared_length(self) -> bytes:
        """The `content-length`, as it was sent."""
        return self.headers.get(b"content-length", b"0")

    @property
    def route_name(self) -> str:
        return self.route.name if self.route else "none"

    @property
    def answers_with_events(self) -> bool:
        """Whether the answer that has begun is a stream of events."""
        return any(
            name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self._answer_headers
        )

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Sends the answer's head."""
        self.status = status
        self._answer_headers = headers
        headers = [*headers, *self.reply_headers, *self.late_headers()]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes, *, more: bool, recorded: bytes | None = None) -> None:
        """Sends a part of the answer's body; the last one with `more=False`. Whoever is given the same answer later
        gets `recorded` in its place."""
        chunk = b"" if self.method == "HEAD" else chunk
        self.body_bytes_sent += len(chunk)
        message: Message = {"type": "http.response.body", "body": chunk, "more_body": more}
        if recorded is not None:
            message[RECORDED] = recorded
        await self.send(message)

    async def reply(self, reply: Reply) -> None:
        """Sends a whole answer."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        await self.begin(reply.status, [*headers, (b"content-length", b"%d" % len(reply.body))])
        await self.write(reply.body, more=False)
