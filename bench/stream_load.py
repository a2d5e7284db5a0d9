"""Many streams at once, read by one thread: when each began, brought its events and ended."""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.load import LAST_CHUNK, Question

READ_BYTES = 65536
SILENCE_S = 30.0
DONE = b"data: [DONE]"
WORD = b'"content"'


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """What one stream brought. Times are from its request on."""

    first_s: float
    """To the first event with text; 0 when none came."""
    total_s: float
    arrivals_s: list[float] = field(repr=False)
    """Of each event with text."""
    fault: str
    """Empty when every event and the end came."""

    def lateness_s(self, interval_s: float) -> list[float]:
        """How much later each event came than its upstream was to send it, the way of the request included."""
        return [arrival - number * interval_s for number, arrival in enumerate(self.arrivals_s)]


class _Reader:
    def __init__(self, question: Question, events: int) -> None:
        self._question, self._events = question, events
        self._socket = socket.create_connection(("127.0.0.1", question.port), SILENCE_S)
        self._parts: list[bytes] = []
        self._end = b""
        """The last bytes that came: the end may come in two parts."""
        self._began = 0.0
        self._arrivals_s: list[float] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self) -> None:
        self._began = time.perf_counter()
        self._socket.sendall(self._question.wire)

    def read(self) -> bool:
        """Takes what has come; whether it was the end."""
        try:
            part = self._socket.recv(READ_BYTES)
        except ConnectionError:
            part = b""
        self._parts.append(part)
        self._arrivals_s += [time.perf_counter() - self._began] * part.count(WORD)
        self._end = (self._end + part)[-len(LAST_CHUNK) :]
        return not part or self._end == LAST_CHUNK

    def outcome(self) -> StreamOutcome:
        total_s = time.perf_counter() - self._began
        self._socket.close()
        first_s = self._arrivals_s[0] if self._arrivals_s else 0.0
        return StreamOutcome(first_s, total_s, self._arrivals_s, self._fault(b"".join(self._parts)))

    def _fault(self, answer: bytes) -> str:
        if not answer.startswith(b"HTTP/1.1 200"):
            return f"status {answer[9:12].decode(errors='replace') or 'none'}"
        if DONE not in answer:
            return "no end"
        return "" if answer.count(WORD) >= self._events else "events are missing"


def read_all(
    question: Question, streams: int, events: int, ramp_s: float, at_peak: Callable[[], None]
) -> list[StreamOutcome]:
    """Starts the streams evenly over `ramp_s` and reads them to their ends; `at_peak` runs once all have begun."""
    waiting = [_Reader(question, events) for _ in range(streams)]
    open_: dict[int, _Reader] = {}
    ended: list[StreamOutcome] = []
    started, peaked = time.perf_counter(), False
    with select.epoll() as poller:
        while waiting or open_:
            due = int((time.perf_counter() - started) / ramp_s * streams) + 1 if ramp_s else streams
            while waiting and streams - len(waiting) < due:
                reader = waiting.pop()
                open_[reader.fileno()] = reader
                poller.register(reader, select.EPOLLIN)
                reader.ask()
            if not waiting and not peaked:
                peaked = True
                at_peak()
            ready = poller.poll(ramp_s / streams if waiting else SILENCE_S)
            if not ready and not waiting:
                break
            for fileno, _ in ready:
                if open_[fileno].read():
                    poller.unregister(fileno)
                    ended.append(open_.pop(fileno).outcome())
    return ended + [reader.outcome() for reader in open_.values()]
