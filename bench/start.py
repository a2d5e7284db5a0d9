"""From a process's start to its first right answer."""

import http.client
import json
import time
from dataclasses import dataclass

from bench import mock
from bench.load import Question
from bench.processes import BenchError, Server

POLL_S = 0.002
PATIENCE_S = 120.0


class NotYet(Exception):
    """No connection was made, or the answer was not 200."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


def until_ready(server: Server, path: str) -> None:
    """Waits until the server answers 200 there."""
    _until(server, lambda: _ask(server.program.port, "GET", path))


def until_answer(server: Server, question: Question) -> None:
    """Waits until the server answers the question with 200, and then looks closely at the answer."""
    headers = dict(question.headers)
    _check(_until(server, lambda: _ask(question.port, "POST", question.path, question.body, headers)))
