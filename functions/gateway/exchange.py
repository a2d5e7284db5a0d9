"""One request on its way through the pipeline, and what the stages have learnt of it."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol

from shared.core import problem
from shared.core.errors import OmniError
from shared.core.keys import Caller
from shared.core.pricing import NANO
from shared.core.quota import Ticket
from shared.manifest import Route
from shared.surfaces.request import InferenceRequest
from shared.surfaces.tally import AnswerTally
from shared.web.asgi import RawHeaders, Receive
from shared.web.incoming import request_id
from shared.web.reply import Reply
from shared.web.request_head import RequestHead

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from functions.gateway.bound_bodies import HeldBody
    from functions.gateway.charge import Charge
    from functions.gateway.flight import Flight
    from functions.gateway.replay import FirstRun


MOST_AT_ONCE_BYTES = 32 * 1024
"""More of an answer is sent as its caller reads it."""
JOB = "job"
"""Where an answer is from whose tokens and cost are counted when its job ends."""
SHORTEST_KEY = 12
"""What is shorter is no key, and may well stand in one."""


class Writer(Protocol):
    """The caller's connection. What `begin` and `write` are given waits in memory until it is read."""

    has_left: bool

    @property
    def takes_more(self) -> bool:
        """Whether the caller has read so much of what was sent that it may be sent more."""
        ...

    def begin(self, status: int, headers: RawHeaders) -> None: ...

    def write(self, part: bytes, *, more: bool) -> None: ...

    def write_as_read(self, part: bytes, *, more: bool) -> Coroutine[None, None, None]:
        """As fast as the caller reads, however large the part is."""
        ...

    def break_off(self) -> None:
        """Ends the connection where it is, unless the answer is complete."""
        ...


class Running(Protocol):
    def caller_left(self) -> None:
        """Ends what waits, unless there is a reason to go on."""
        ...

    def stop(self, reason: Exception) -> None:
        """Ends what waits: with this error."""
        ...


class Tap(Protocol):
    """Who is told of an answer while it is given. The part goes to the caller afterwards."""

    def begin(self, status: int, headers: RawHeaders) -> None: ...

    async def take(self, part: bytes, *, more: bool) -> None: ...


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
        "error",
        "estimated_input",
        "first_run",
        "flight",
        "headers",
        "held_body",
        "is_answered",
        "is_muted",
        "late_headers",
        "method",
        "model",
        "path",
        "peer",
        "query",
        "raw_headers",
        "reasons_to_go_on",
        "receive",
        "reply_headers",
        "request_id",
        "route",
        "running",
        "sent_at",
        "span",
        "started",
        "status",
        "tally",
        "taps",
        "ticket",
        "tokens_cached",
        "tokens_in",
        "tokens_out",
        "usage_is_estimated",
        "was_cancelled",
        "writer",
    )

    def __init__(self, head: RequestHead, receive: Receive, writer: Writer, started: float) -> None:
        self.receive = receive
        """The body, message by message, while `content` is None."""
        self.writer = writer
        self.started = started
        """On the monotonic clock, in seconds."""
        self.method, self.path, self.query, self.raw_headers, self.peer = head
        self.headers: dict[bytes, bytes] = dict(self.raw_headers)
        self.request_id = request_id(self._id_of_its_own())
        self.route: Route | None = None
        self.caller: Caller | None = None
        self.content: bytes | None = None
        """The body, once it has been read."""
        self.asked: InferenceRequest | None = None
        """What the body of an inference request asks for, once it has been decoded."""
        self.model = ""
        self.answered_from = ""
        """`cache` or `replay` when the answer was there already, so that it costs nothing; JOB when a job makes it."""
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
        self.error: Exception | None = None
        """What ended the request's way through the stages, if it was not an answer."""
        self.is_answered = False
        self.is_muted = False
        """Nothing more is sent to the caller, though others are given the answer."""
        self.taps: list[Tap] = []
        """Innermost first."""
        self.reasons_to_go_on: list[Callable[[], bool]] = []
        """When the caller leaves, the request is abandoned unless one of them holds."""
        self.running: Running | None = None
        """The pass, while a stage waits."""
        self.was_cancelled = False
        """Whether a stage was waiting when the error came from outside: the caller left, or its key was withdrawn."""
        self._answer_headers: RawHeaders = []
        self.held_body: HeldBody | None = None
        """What its body holds of the memory for bodies."""
        self.flight: Flight | None = None
        """The answer, while other requests share it."""
        self.first_run: FirstRun | None = None
        """The run whose answer is kept for the request's idempotency key."""
        self.span: Span | None = None

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

    @property
    def is_shared(self) -> bool:
        """Whether others wait for the same answer."""
        return self.flight is not None and self.flight.has_followers

    def stop(self, reason: Exception) -> None:
        """Ends what is done for the request, with this error."""
        if self.running:
            self.running.stop(reason)

    # The answer

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Sends the answer's head."""
        self.begin_now(status, headers)

    def begin_now(self, status: int, headers: RawHeaders) -> None:
        self.status, self._answer_headers = status, headers
        headers = [*headers, *self.reply_headers, *self.late_headers()]
        for tap in self.taps:
            tap.begin(status, headers)
        if not self.is_muted:
            self.writer.begin(status, headers)

    async def write(self, chunk: bytes, *, more: bool, recorded: bytes | None = None) -> None:
        """Sends a part of the answer's body; the last one with `more=False`. Whoever is given the same answer later
        gets `recorded` in its place."""
        for tap in self.taps:
            await tap.take(chunk if recorded is None else recorded, more=more)
        if len(chunk) <= MOST_AT_ONCE_BYTES and self.writer.takes_more:
            self.write_now(chunk, more=more)
        else:
            await self._write_as_read(b"" if self.method == "HEAD" else chunk, more=more)

    def takes_now(self, chunk: bytes) -> bool:
        """Whether `write_now` does for a part of the answer, which then waits for no one."""
        return not (self.taps or self.is_muted) and self.writer.takes_more and len(chunk) <= MOST_AT_ONCE_BYTES

    def write_now(self, chunk: bytes, *, more: bool) -> None:
        """The same for little, where no one taps the answer."""
        chunk = b"" if self.method == "HEAD" else chunk
        self.body_bytes_sent += len(chunk)
        if not self.is_muted:
            self.writer.write(chunk, more=more)
        self.is_answered = not more

    async def reply(self, reply: Reply) -> None:
        """Sends a whole answer."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        await self.begin(reply.status, [*headers, (b"content-length", b"%d" % len(reply.body))])
        await self.write(reply.body, more=False)

    def may_reply_now(self, reply: Reply) -> bool:
        return not self.taps and len(reply.body) <= MOST_AT_ONCE_BYTES

    def reply_now(self, reply: Reply) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        self.begin_now(reply.status, [*headers, (b"content-length", b"%d" % len(reply.body))])
        self.write_now(reply.body, more=False)

    def end_for_its_caller(self, error: OmniError) -> None:
        """The answer goes on for others, and ends for its own caller, as errors end answers."""
        if self.is_muted:
            return
        body = problem.body(error, self.request_id)
        if self.status:
            self.writer.write(b"data: " + body + b"\n\n", more=False)
        else:
            length = (b"content-length", b"%d" % len(body))
            self.writer.begin(error.status, [(b"content-type", b"application/json"), length, *self.reply_headers])
            self.writer.write(body, more=False)
        self.is_muted = True

    async def _write_as_read(self, chunk: bytes, *, more: bool) -> None:
        self.body_bytes_sent += len(chunk)
        if not self.is_muted:
            sending = self.writer.write_as_read(chunk, more=more)
            if self.flight:
                self.is_muted = not await self.flight.was_read(sending)
            else:
                await sending
        self.is_answered = not more

    def end(self) -> None:
        """Nothing more is done for the request. What refers to it is let go, so that it is freed at once."""
        if not self.is_answered:
            self.writer.break_off()
        self.charge = self.flight = self.first_run = self.held_body = None
        self.running = None
        self.reasons_to_go_on.clear()
