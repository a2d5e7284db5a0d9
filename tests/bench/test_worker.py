"""`omni bench worker` runs from end to end, and compares within a round."""

import socket
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from bench.machine import describe
from bench.main import run
from bench.processes import BenchError
from bench.streams import Source, stream, tokens_in
from bench.worker_report import ENGINE, GATEWAY, WORKER, Plan, Report, text

USAGE = b'data: {"choices": [], "usage": {"completion_tokens": 7}}\n\n'
SOURCE = Source("gateway", 0, "/", dict)


def test_quick_measures_engine_worker_and_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "figures.json"

    status = run("worker", ["--quick", "--json", str(kept)])

    assert status == 0, capsys.readouterr().err
    report = msgspec.json.decode(kept.read_bytes(), type=Report)
    asked = {(row.name, row.at_once) for row in report.rows}
    assert asked == {(name, at_once) for name in (ENGINE, WORKER, GATEWAY) for at_once in (1, 8)}
    assert all(row.tokens_per_s.least > 0 for row in report.rows)


def test_shares_are_taken_within_a_round() -> None:
    rates = {at_once: {ENGINE: [100.0, 50.0], WORKER: [100.0, 50.0], GATEWAY: [90.0, 45.0]} for at_once in (1, 8)}

    report = Report.over(describe(), "model", Plan(2, 128), rates, others_share=0.01)

    shares = {(row.name, row.at_once): row.of_engine.median for row in report.rows}
    assert shares[GATEWAY, 8] == pytest.approx(0.9)
    assert shares[WORKER, 8] == 1
    assert list(report.goals.values()) == [False]
    assert "MISSED   95% of the engine through the gateway at 8 streams" in text(report)


def test_tokens_are_the_servers_own_count() -> None:
    assert tokens_in(SOURCE, b'data: {"choices": [1], "usage": null}\n\n' + USAGE + b"data: [DONE]\n\n") == 7


@pytest.mark.parametrize("content", [b"", USAGE, b'data: {"error": {}}\n\ndata: [DONE]\n\n'])
def test_a_stream_without_its_end_is_an_error(content: bytes) -> None:
    with pytest.raises(BenchError, match="gateway ended a stream early"):
        tokens_in(SOURCE, content)


def test_an_answer_from_a_cache_is_an_error() -> None:
    answer = b"HTTP/1.1 200 OK\r\nage: 3\r\ncontent-length: 0\r\n\r\n"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=_answer_once, args=(listener, answer), daemon=True).start()
        port = listener.getsockname()[1]

        with pytest.raises(BenchError, match="gateway answered from a cache"):
            stream(Source("gateway", port, "/", dict), [b"{}"])


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)
