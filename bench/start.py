"""From a process's start to its first right answer."""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import suppress

from bench import mock
from bench.load import Question
from bench.processes import BenchError, Server

POLL_S = 0.002
PATIENCE_S = 120.0


def until_ready(server: Server, path: str) -> None:
    """Waits until the server answers a GET with 200; BenchError when it ends or stays silent before."""
    _until_200(server, "GET", path, {}, b"")


def until_answer(server: Server, question: Question) -> None:
    """Waits until the server answers the question with 200; BenchError when that is not the upstream's completion."""
    body = _until_200(server, "POST", question.path, dict(question.headers), question.body)
    with suppress(ValueError, LookupError, TypeError):
        if _content(body) == _content(mock.COMPLETION):
            return
    raise BenchError(f"{server.name} does not give the upstream's answer: {body[:300]!r}")


def _content(body: bytes | str) -> tuple[object, object]:
    """What a gateway may not change, whatever else it adds."""
    completion = json.loads(body)
    return completion["choices"][0]["message"]["content"], completion["usage"]["total_tokens"]


def until(server: Server, fault: Callable[[], str]) -> None:
    """Waits until `fault` finds none; BenchError, with the last one, when the server ends or too much time passes."""
    give_up_at = time.perf_counter() + PATIENCE_S
    last = ""
    while time.perf_counter() < give_up_at:
        server.require_alive()
        if not (last := fault()):
            return
        time.sleep(POLL_S)
    raise BenchError(f"{server.name} does not answer as it should within {PATIENCE_S:.0f} s: {last}")


def _until_200(server: Server, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    answer = b""

    def fault() -> str:
        nonlocal answer
        try:
            status, answer = _exchange(server.port, method, path, headers, body)
        except (OSError, http.client.HTTPException) as error:
            return str(error)
        return "" if status == http.client.OK else f"{status} {answer[:300]!r}"

    until(server, fault)
    return answer


def _exchange(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
