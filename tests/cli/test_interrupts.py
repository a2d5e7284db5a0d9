"""Ctrl-C stops what is going on, not more: an answer, the watching of a job, a conversation's current line."""

import os
import pty
import signal
import sys
import threading
from collections.abc import Iterator
from subprocess import DEVNULL, PIPE, Popen
from typing import IO

import pytest

from tests.cli.platform import ENDING, MASTER, Asked, Platform, chunk, stream
from tests.cli.platform_hooks import Said

PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is inherited as ignored from a background job
from cli.__main__ import omni
omni(prog_name="omni")
"""


class Slow:
    """Chats that say "Par" and then hang until the test lets them go on; the next one is whole."""

    def __init__(self, platform: Platform) -> None:
        self.go_on = threading.Event()
        self.questions: list[list[dict[str, str]]] = []
        platform.instead["POST", "/v1/chat/completions"] = self.answer

    def answer(self, asked: Asked) -> Said:
        self.questions.append(asked.body["messages"])
        return Said(200, self._half() if len(self.questions) == 1 else stream(chunk("Paris."), *ENDING))

    def _half(self) -> Iterator[bytes]:
        yield from stream(chunk("Par"))
        self.go_on.wait(10)


@pytest.fixture
def slow(platform: Platform) -> Iterator[Slow]:
    chats = Slow(platform)
    yield chats
    chats.go_on.set()


def start(platform: Platform, *arguments: str, stdin: int, stdout: int) -> Popen[str]:
    return Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=os.environ | {"OMNI_BASE_URL": platform.base_url, "OMNI_API_KEY": MASTER, "TERM": "dumb"},
        stdin=stdin,
        stdout=stdout,
        stderr=PIPE,
        text=True,
    )


def test_an_answer_is_stopped_with_what_came(platform: Platform, slow: Slow) -> None:
    with start(platform, "chat", "Hello", stdin=DEVNULL, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(3) == "Par"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout, stderr) == (130, "\n", "")


def test_a_job_goes_on_when_watching_stops(platform: Platform) -> None:
    platform.ending = {"state": "running"}
    with start(platform, "jobs", "submit", "--prompt", "Hi", "--watch", stdin=DEVNULL, stdout=PIPE) as process:
        _read_until(process.stderr, "running")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert stderr.endswith("No longer watching; the job goes on. See 'omni jobs watch job0'.\n")
    assert platform.jobs["job0"]["state"] == "running"


def test_a_conversation_survives_a_stopped_answer(platform: Platform, slow: Slow) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal, os.fdopen(theirs, "r+b", buffering=0) as screen:
        with start(platform, "chat", stdin=screen.fileno(), stdout=screen.fileno()) as process:
            _expect(terminal, b"> ")
            terminal.write(b"Capital of France?\n")
            _expect(terminal, b"Par")
            process.send_signal(signal.SIGINT)
            _expect(terminal, b"> ")
            terminal.write(b"Again?\n")
            _expect(terminal, b"Paris.")
            _expect(terminal, b"> ")
            terminal.write(b"\x04")
            process.communicate(timeout=10)
        assert process.returncode == 0
    said = [message["content"] for message in slow.questions[1]]
    assert said == ["Capital of France?", "Par", "Again?"]


def _expect(terminal: IO[bytes], wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        seen += terminal.read(1)


def _read_until(lines: IO[str] | None, wanted: str) -> None:
    assert lines is not None
    while wanted not in lines.readline():
        pass
