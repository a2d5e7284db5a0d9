"""`omni batch` and `omni files`: a file up, its answers down, and where a batch stands."""

import json
from pathlib import Path

import pytest

from cli import files
from tests.cli.conftest import Omni
from tests.cli.platform import Platform


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(json.dumps({"custom_id": f"r{number}"}) + "\n" for number in range(3)))
    return path


def test_submit_uploads_the_file_and_prints_the_batch(omni: Omni, platform: Platform, requests: Path) -> None:
    result = omni("batch", "submit", str(requests))
    assert (result.exit_code, result.stdout) == (0, "batch0\n")
    assert platform.batches.content["file-0"] == requests.read_bytes()
    assert platform.asked[-1].body["endpoint"] == "/v1/chat/completions"


def test_a_path_is_meant_from_where_omni_was_called(omni: Omni, platform: Platform, requests: Path) -> None:
    result = omni("batch", "submit", requests.name, OMNI_CALLED_FROM=str(requests.parent))
    assert result.exit_code == 0, result.output


def test_watch_tells_each_step_and_saves_the_answers(omni: Omni, requests: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    result = omni("batch", "submit", str(requests), "--watch", "--output", str(output))
    assert result.exit_code == 0, result.output
    assert "batch0: in progress, 0 of 3 lines" in result.stderr
    assert "batch0: completed, 3 of 3 lines" in result.stderr
    assert [json.loads(line)["custom_id"] for line in output.read_text().splitlines()] == ["r0", "r1", "r2"]


def test_failed_lines_are_saved_apart_and_make_the_exit_status_1(
    omni: Omni, platform: Platform, requests: Path, tmp_path: Path
) -> None:
    platform.batches.fails = {"r1"}
    output, errors = tmp_path / "answers.jsonl", tmp_path / "failed.jsonl"
    result = omni("batch", "submit", str(requests), "--watch", "--output", str(output), "--errors", str(errors))
    assert result.exit_code == 1
    assert "completed, 2 of 3 lines, 1 failed" in result.stderr
    assert json.loads(errors.read_text())["custom_id"] == "r1"


def test_a_refused_file_is_explained_line_by_line(omni: Omni, platform: Platform, requests: Path) -> None:
    platform.batches.mistakes = [
        {"code": "invalid_json_line", "line": number, "message": f"Line \x1b[2J{number} is no JSON."}
        for number in range(1, 31)
    ]
    result = omni("batch", "submit", str(requests), "--watch")
    assert result.exit_code == 1
    assert "  line 1: Line [2J1 is no JSON. (invalid_json_line)" in result.stderr
    assert "… and 10 more" in result.stderr


def test_fetch_writes_the_answers_to_standard_output(omni: Omni, requests: Path) -> None:
    omni("batch", "submit", str(requests), "--watch")
    result = omni("batch", "fetch", "batch0")
    assert [json.loads(line)["custom_id"] for line in result.stdout.splitlines()] == ["r0", "r1", "r2"]


def test_fetch_waits_for_nothing(omni: Omni, requests: Path) -> None:
    omni("batch", "submit", str(requests))
    result = omni("batch", "fetch", "batch0")
    assert result.exit_code == 1
    assert "still validating" in result.stderr


def test_cancel_get_and_list(omni: Omni, requests: Path) -> None:
    omni("batch", "submit", str(requests))
    assert "cancelling" in omni("batch", "cancel", "batch0").stderr
    assert "batch0: cancelling" in omni("batch", "get", "batch0").stderr
    listed = omni("batch", "list")
    assert "batch0" in listed.stdout
    assert "--after batch0" in listed.stderr


@pytest.mark.parametrize(
    "arguments",
    [("submit", "nothing.jsonl"), ("submit", "x", "--output", "y"), ("get", "none"), ("fetch", "none")],
)
def test_what_cannot_be_done_is_said_in_a_sentence(omni: Omni, arguments: tuple[str, ...]) -> None:
    result = omni("batch", *arguments)
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
    assert result.stderr.strip().endswith((".", "request id req_test)"))


def test_a_large_file_goes_up_in_parts(
    omni: Omni, platform: Platform, requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PART_BYTES", 10)
    assert omni("files", "upload", str(requests)).stdout == "file-0\n"
    assert platform.batches.content["file-0"] == requests.read_bytes()
    assert len(platform.batches.uploads["upload0"]) == -(-requests.stat().st_size // 10)


def test_files_are_listed_fetched_and_deleted(omni: Omni, requests: Path, tmp_path: Path) -> None:
    omni("files", "upload", str(requests))
    assert "requests.jsonl" in omni("files", "list").stdout
    copy = tmp_path / "copy"
    assert omni("files", "fetch", "file-0", "--output", str(copy)).exit_code == 0
    assert copy.read_bytes() == requests.read_bytes()
    assert omni("files", "delete", "file-0").exit_code == 0
    assert omni("files", "delete", "file-9").exit_code == 1
