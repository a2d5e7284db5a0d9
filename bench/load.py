"""The load: a closed loop over plain sockets, with one request under way on each connection.

Every answer is checked, and only right ones count. It stands on epoll without any library between, and makes 60,000
requests/s on one core together with the nginx upstream. Only nginx as a proxy comes near that; whether a server was
really the limit shows in the share of its core that it used, and the report says so when it was not.
"""

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

OK = b"HTTP/1.1 200 "
HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
READ_BYTES = 65536
SILENCE_S = 30.0
"""A server that answers nothing for so long is given up."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request to send again and again, and what its answer must hold."""

    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    expected: bytes

    @property
    def wire(self) -> bytes:
        lines = [f"POST {self.path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode() + HEAD_END + self.body


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load. Latencies are of right answers only, shortest first."""

    requests_per_s: float
    latencies_s: list[float]
    failures: dict[str, int]

    def percentile_s(self, percent: float) -> float:
        """An exact percentile of all samples, of which there must be one."""
        return self.latencies_s[min(len(self.latencies_s) - 1, int(len(self.latencies_s) * percent / 100))]


class Line:
    """One connection, with at most one request under way."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._wire = question.wire
        self._received = b""
        self.sent_at = 0.0
        self._socket = self._connect()

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, now: float) -> None:
        self._received = b""
        self.sent_at = now
        self._socket.sendall(self._wire)

    def answer(self) -> bytes | None:
        """The whole answer, None while parts are missing; ConnectionError when the server closed."""
        part = self._socket.recv(READ_BYTES)
        if not part:
            raise ConnectionResetError
        self._received += part
        return self._received if is_whole(self._received) else None

    def fault(self, answer: bytes) -> str:
        """What is wrong with an answer; empty when it is right."""
        if not answer.startswith(OK):
            return f"status {answer[9:12].decode(errors='replace')}"
        return "" if self._question.expected in answer else "another body"

    def close(self) -> None:
        self._socket.close()

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self._question.port), SILENCE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


def is_whole(received: bytes) -> bool:
    head_end = received.find(HEAD_END)
    if head_end < 0:
        return False
    if found := CONTENT_LENGTH.search(received, 0, head_end):
        return len(received) >= head_end + len(HEAD_END) + int(found[1])
    return received.endswith(LAST_CHUNK)


def apply(question: Question, connections: int, seconds: float, clock: Callable[[], float] = time.perf_counter) -> Load:
    """Asks on so many connections for so long, then lets what is under way finish."""
    lines = [Line(question) for _ in range(connections)]
    try:
        with select.epoll() as poller:
            for line in lines:
                poller.register(line, select.EPOLLIN)
            loop = _ClosedLoop(lines, poller, clock, clock() + seconds)
            loop.run()
    finally:
        for line in lines:
            line.close()
    return Load(loop.in_time / seconds, sorted(loop.latencies_s), dict(loop.failures))


class _ClosedLoop:
    def __init__(self, lines: list[Line], poller: select.epoll, clock: Callable[[], float], end: float) -> None:
        self._lines = {line.fileno(): line for line in lines}
        self._poller = poller
        self._clock = clock
        self._end = end
        self._under_way = len(lines)
        self.latencies_s: list[float] = []
        self.in_time = 0
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        for line in self._lines.values():
            line.ask(self._clock())
        while self._under_way:
            ready = self._poller.poll(SILENCE_S)
            if not ready:
                self.failures["no answer"] += self._under_way
                return
            for fileno, _ in ready:
                self._go_on(self._lines[fileno])

    def _go_on(self, line: Line) -> None:
        try:
            if (answer := line.answer()) is None:
                return
            now = self._clock()
            self._count(line, answer, now)
            if now < self._end:
                line.ask(now)
                return
        except ConnectionError:
            self.failures["closed by the server"] += 1
            self._poller.unregister(line)
        self._under_way -= 1

    def _count(self, line: Line, answer: bytes, now: float) -> None:
        if fault := line.fault(answer):
            self.failures[fault] += 1
            return
        self.latencies_s.append(now - line.sent_at)
        self.in_time += now <= self._end
