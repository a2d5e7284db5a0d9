"""What is wrong with a file is told line by line before anything runs, and in bounded memory."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.batches.input import lines as split
from shared.core.batches import MOST_LINES, Counts, Status
from tests.batches.conftest import MODEL, World, line, lines


def mistakes(world: World, content: list[Any] | bytes, **order: Any) -> list[tuple[str, int | None, str | None]]:
    """Code, line and param of what a file is refused for."""
    batch = world.batch(content, **order)
    world.work()
    failed = world.now(batch)
    assert failed.status is Status.FAILED
    assert failed.failed_at == world.clock.now()
    assert all(each.message.endswith(".") for each in failed.mistakes)
    assert world.asked == []
    return [(each.code, each.line, each.param) for each in failed.mistakes]


def refusals(world: World, content: list[Any] | bytes, **order: Any) -> list[tuple[str, int, str, str | None]]:
    """custom_id, status, code and param of the lines that cost only themselves; the others have an answer."""
    batch = world.batch(content, **order)
    world.work()
    done = world.now(batch)
    assert done.status is Status.COMPLETED
    errors = world.output(batch, "error")
    assert done.counts == Counts(done.total, len(world.output(batch)), len(errors))
    shown = [(each["custom_id"], each["response"]) for each in errors]
    assert all(set(response["body"]["error"]) == {"message", "type", "param", "code"} for _, response in shown)
    return [
        (name, response["status_code"], response["body"]["error"]["code"], response["body"]["error"]["param"])
        for name, response in shown
    ]


def body(**changes: Any) -> dict[str, Any]:
    fields = line(1)["body"] | changes
    return {"body": {name: value for name, value in fields.items() if value is not None}}


def around(second: Any) -> bytes:
    """A file with a good line before and behind, and a blank one."""
    text = second if isinstance(second, bytes) else json.dumps(second).encode()
    return b"\n".join([json.dumps(line(0)).encode(), b"", text, json.dumps(line(2)).encode()])


@pytest.mark.parametrize(
    ("second", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"not json", "invalid_json_line", None),
        (b'"text"', "invalid_line", None),
        (b'{"custom_id": "x\xff"}', "invalid_encoding", None),
        (b"[" * 1000, "invalid_line", None),
        (b'{"pad": "' + b"x" * 20_000_000 + b'"}', "line_too_large", None),
        ({"custom_id": 5}, "invalid_line", None),
        ({key: value for key, value in line(1).items() if key != "custom_id"}, "invalid_line", None),
        (line(1, custom_id=""), "invalid_value", "custom_id"),
        (line(1, custom_id="r0"), "duplicate_custom_id", "custom_id"),
        (line(1, url="/v1/completions"), "mismatched_url", "url"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_that_is_no_batch_names_the_line(world: World, second: Any, code: str, param: str | None) -> None:
    assert mistakes(world, around(second)) == [(code, 3, param)]


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"custom_id": "x" * 600}, 400, "invalid_value", "custom_id"),
        ({"method": "GET"}, 400, "invalid_method", "method"),
        ({"method": None}, 400, "invalid_line", None),
        ({"url": "/v1/nothing"}, 400, "mismatched_url", "url"),
        ({"url": []}, 400, "invalid_line", None),
        ({"body": []}, 400, "invalid_value", None),
        (body(messages=None), 400, "invalid_value", "messages"),
        (body(temperature="hot"), 400, "invalid_value", "temperature"),
        (body(stream=True), 400, "invalid_value", "stream"),
        (body(model=None), 400, "invalid_value", "model"),
        (body(model="another"), 404, "model_not_found", "model"),
        (body(user="x" * 1_100_000), 400, "line_too_large", None),
        (body(metadata=json.loads('{"a":' * 300 + "1" + "}" * 300)), 400, "too_deep", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_line_costs_only_itself(
    world: World, changes: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    bad = line(1, **changes)
    assert refusals(world, around(bad)) == [(bad["custom_id"], status, code, param)]
    assert world.asked == ["say 0", "say 2"]


def test_the_first_good_line_says_the_model(tmp_path: Path) -> None:
    catalogue = tmp_path / "models.toml"
    worker = "upstreams = [{ worker = true }]\nprice = { per_second = 0 }\n"
    catalogue.write_text("".join(f'[[model]]\nid = "{name}"\n{worker}' for name in ("one", "two")))
    world = World(tmp_path / "state", models_file=catalogue)
    asking = [line(number, **body(model=model)) for number, model in enumerate(["none", "two", "one", "two"])]
    found = refusals(world, asking)
    assert found == [("r0", 404, "model_not_found", "model"), ("r2", 400, "mismatched_model", "model")]


def test_a_file_of_bad_lines_is_answered_with_errors(world: World) -> None:
    found = refusals(world, [line(number, **body(model="none")) for number in range(300)])
    assert found == [(f"r{number}", 404, "model_not_found", "model") for number in range(300)]
    assert world.asked == []


def test_a_mark_at_the_start_and_windows_line_ends_are_no_part_of_the_lines(world: World) -> None:
    content = b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(each).encode() for each in lines(3)) + b"\r\n"
    assert refusals(world, content) == []
    assert world.asked == ["say 0", "say 1", "say 2"]


@pytest.mark.parametrize("content", [b"", b"\n\n \n"])
def test_a_file_without_requests_is_refused(world: World, content: bytes) -> None:
    assert mistakes(world, content) == [("empty_file", None, None)]


def test_mistakes_are_told_up_to_a_hundred(world: World) -> None:
    found = mistakes(world, [{"number": number} for number in range(300)])
    assert found == [("invalid_line", number, None) for number in range(1, 101)]


def test_a_file_of_too_many_lines_is_refused(world: World) -> None:
    content = b"\n".join(json.dumps(line(number)).encode() for number in range(MOST_LINES + 5))
    assert mistakes(world, content) == [("too_many_lines", None, None)]


def test_a_model_that_the_key_may_not_use_is_as_good_as_none(world: World) -> None:
    assert refusals(world, lines(1), models=frozenset({"other"})) == [("r0", 404, "model_not_found", "model")]


def test_a_file_that_is_gone_is_told(world: World) -> None:
    batch = world.batch(lines(3))
    world.files.delete("acme", batch.input_file_id)
    world.work()
    assert [each.code for each in world.now(batch).mistakes] == ["file_not_found"]


def test_fields_that_nobody_knows_and_windows_line_ends_are_fine(world: World) -> None:
    content = b"\r\n".join(json.dumps(each | {"note": "x"}).encode() for each in lines(3)) + b"\r\n"
    batch = world.batch(content, models=frozenset({MODEL}))
    world.work()
    assert world.now(batch).status is Status.COMPLETED
    assert len(world.output(batch)) == 3


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_are_found_wherever_the_parts_end(size: int, mark: bytes) -> None:
    content = mark + b"one\n\ntwo\nthree"
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    found = list(split(parts))
    assert [(each.number, each.text) for each in found] == [(1, b"one"), (2, b""), (3, b"two"), (4, b"three")]
    assert all(content[each.start :].startswith(each.text) for each in found)
