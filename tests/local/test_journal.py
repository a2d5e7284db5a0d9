import io
import json
from contextlib import closing
from pathlib import Path

from local.journal import LINES_KEPT, BoundedFile, Journal, compact, json_screen, terminal_screen


class BrokenScreen(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_json_line_reads_as_message_and_fields() -> None:
    line = '{"time":0,"severity":"INFO","service":"gateway","logger":"x","message":"request","status":200,"ms":1.5}'

    assert compact(line).partition(" ")[2] == "request status=200 ms=1.5"


def test_an_exception_stands_below_its_message() -> None:
    assert compact('{"message":"failed","exception":"Traceback\\nValueError: 1"}') == "failed\nTraceback\nValueError: 1"


def test_warnings_carry_their_severity() -> None:
    assert "WARNING" in compact('{"severity":"WARNING","message":"slow"}')


def test_what_is_not_a_log_record_stays_as_it_is() -> None:
    for line in ("Address already in use", "[1, 2]", '{"a": 1}', "{", ""):
        assert compact(line) == line


def test_every_line_of_a_terminal_begins_with_its_process() -> None:
    terminal = io.StringIO()
    show = terminal_screen(terminal)

    show("worker", '{"message":"failed","exception":"ValueError: 1"}')
    show("gateway", "")

    lines = terminal.getvalue().splitlines()
    assert ["worker" in line for line in lines] == [True, True, False]
    assert "gateway" in lines[2]


def test_a_file_or_a_pipe_gets_json_lines_only() -> None:
    pipe = io.StringIO()
    show = json_screen(pipe)

    show("worker", '{"message":"up"}')
    show("worker", "Address already in use")

    assert [json.loads(line) for line in pipe.getvalue().splitlines()] == [
        {"message": "up"},
        {"service": "worker", "message": "Address already in use"},
    ]


def test_lines_reach_the_file_and_memory_even_if_nobody_reads_the_screen(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, json_screen(BrokenScreen()))) as journal:
        for number in range(LINES_KEPT + 1):
            journal.hear("worker", f"line {number}")

        assert journal.last_lines("worker") == [f"line {number}" for number in range(1, LINES_KEPT + 1)]
    assert (tmp_path / "worker.log").read_text().startswith("line 0\n")


def test_the_last_lines_are_those_of_the_latest_run(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, json_screen(io.StringIO()))) as journal:
        for word in ("first", "second"):
            journal.begin("worker")
            journal.hear("worker", word)

        assert journal.last_lines("worker") == ["second"]


def test_the_supervisors_own_words_are_a_json_line_as_well(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, json_screen(io.StringIO()), now=lambda: 12.5)) as journal:
        journal.note("stopping")

        assert json.loads(journal.last_lines("omni")[0]) == {
            "time": 12.5,
            "severity": "INFO",
            "service": "omni",
            "message": "stopping",
        }


def test_a_log_file_keeps_at_most_twice_its_bound(tmp_path: Path) -> None:
    with closing(BoundedFile(tmp_path / "worker.log", largest=100)) as file:
        for number in range(100):
            file.write(f"line {number}")

    kept = (tmp_path / "worker.log.1").read_text() + (tmp_path / "worker.log").read_text()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200
    assert kept.endswith("line 98\nline 99\n")
