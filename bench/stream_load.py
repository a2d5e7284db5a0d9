"""Many streams at once, read by one thread: when each began, said its first word and ended."""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.load import LAST_CHUNK, Question

READ_BYTES = 65536
SILENCE_S = 30.0
DONE = b"data: [DONE]"
WORD = b'"content"'


@dataclass(frozen=True, slots=True)
class Told:
    """What one stream brought. Times are from its request on."""

    first_s: float
    """To the first word; 0 when none came."""
    total_s: float
    fault: str
    """Empty when every word and the end came."""


class _Reader:
    def __init__(self, question: Question, words: int) -> None:
        self._question, self._words = question, words
        self._socket = socket.create_connection(("127.0.0.1", question.port), SILENCE_S)
        self._parts: list[bytes] = []
        self._end = b""
        """The last bytes that came: the end may come in two parts."""
        self._began = self._first = 0.0

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
        if not self._first and WORD in part:
            self._first = time.perf_counter()
        self._end = (self._end + part)[-len(LAST_CHUNK) :]
        return not part or self._end == LAST_CHUNK

    def told(self) -> Told:
        now = time.perf_counter()
        self._socket.close()
        return Told(max(0.0, self._first - self._began), now - self._began, self._fault(b"".join(self._parts)))

    def _fault(self, answer: bytes) -> str:
        if not answer.startswith(b"HTTP/1.1 200"):
            return f"status {answer[9:12].decode(errors='replace') or 'none'}"
        if DONE not in answer:
            return "no end"
        return "" if answer.count(WORD) >= self._words else "words are missing"


def read_all(question: Question, streams: int, words: int, ramp_s: float, at_peak: Callable[[], None]) -> list[Told]:
    """Starts the streams evenly over `ramp_s` and reads them to their ends; `at_peak` runs once all have begun."""
    waiting = [_Reader(question, words) for _ in range(streams)]
    open_: dict[int, _Reader] = {}
    told: list[Told] = []
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
                    told.append(open_.pop(fileno).told())
    return told + [reader.told() for reader in open_.values()]
