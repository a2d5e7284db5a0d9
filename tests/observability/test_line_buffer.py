"""Lines of the log leave together, whole, and none is left when the processor may be taken away."""

import asyncio
from select import PIPE_BUF

from shared.observability.line_buffer import LineBuffer


def test_a_lone_requests_line_is_written_when_the_request_ends() -> None:
    written: list[bytes] = []
    lines = LineBuffer(written.append)
    lines.begin()
    lines.append(b"one\n")
    assert written == []
    lines.end()
    assert written == [b"one\n"]


def test_lines_of_requests_in_flight_leave_in_one_write_with_the_last_of_them() -> None:
    async def run() -> list[bytes]:
        written: list[bytes] = []
        lines = LineBuffer(written.append)
        for _ in range(3):
            lines.begin()
        for line in (b"one\n", b"two\n", b"three\n"):
            assert written == []
            lines.append(line)
            lines.end()
        return written

    assert asyncio.run(run()) == [b"one\ntwo\nthree\n"]


def test_a_line_does_not_wait_for_a_request_that_goes_on() -> None:
    async def run() -> list[bytes]:
        written: asyncio.Queue[bytes] = asyncio.Queue()
        lines = LineBuffer(written.put_nowait)
        lines.begin()
        lines.begin()
        found = []
        for line in (b"one\n", b"two\n"):
            lines.append(line)
            found.append(await written.get())
        return found

    assert asyncio.run(run()) == [b"one\n", b"two\n"]


def test_no_write_is_larger_than_a_pipe_takes_whole() -> None:
    async def run() -> list[bytes]:
        written: list[bytes] = []
        lines = LineBuffer(written.append)
        lines.begin()
        lines.begin()
        for number in range(100):
            lines.append(b"%d " % number + b"x" * 300 + b"\n")
        lines.flush()
        return written

    written = asyncio.run(run())
    assert max(map(len, written)) <= PIPE_BUF
    assert [line.split()[0] for line in b"".join(written).splitlines()] == [b"%d" % number for number in range(100)]
    assert all(part.endswith(b"\n") for part in written)
