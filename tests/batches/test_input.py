"""What is wrong with a file is told line by line before anything runs, and in bounded memory."""

import json
from typing import Any

import pytest

from shared.batches.input import lines as split
from shared.core.batches import MOST_LINES, Status
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


def body(**changes: Any) -> dict[str, Any]:
    fields = line(1)["body"] | changes
    return {"body": {name: value for name, value in fields.items() if value is not None}}


@pytest.mark.parametrize(
    ("second", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"not json", "invalid_json_line", None),
        (b'"text"', "invalid_line", None),
        (b'{"custom_id": "x\xff"}', "invalid_encoding", None),
        (b"[" * 1000, "too_deep", None),
        (b'{"pad": "' + b"x" * 1_100_000 + b'"}', "line_too_large", None),
        ({"custom_id": 5}, "invalid_line", None),
        (line(1, custom_id=""), "invalid_value", "custom_id"),
        (line(1, custom_id="x" * 600), "invalid_value", "custom_id"),
        (line(1, custom_id="r0"), "duplicate_custom_id", "custom_id"),
        (line(1, method="GET"), "invalid_method", "method"),
        (line(1, url="/v1/completions"), "mismatched_url", "url"),
        (line(1, body=[]), "invalid_value", "body"),
        (line(1, **body(messages=None)), "invalid_value", "body.messages"),
        (line(1, **body(temperature="hot")), "invalid_value", "body.temperature"),
        (line(1, **body(stream=True)), "invalid_value", "body.stream"),
        (line(1, **body(model="another")), "mismatched_model", "body.model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_line_is_named_by_its_number(world: World, second: Any, code: str, param: str | None) -> None:
    text = second if isinstance(second, bytes) else json.dumps(second).encode()
    content = b"\n".join([json.dumps(line(0)).encode(), b"", text, json.dumps(line(2)).encode()])
    assert mistakes(world, content) == [(code, 3, param)]


@pytest.mark.parametrize("content", [b"", b"\n\n \n"])
def test_a_file_without_requests_is_refused(world: World, content: bytes) -> None:
    assert mistakes(world, content) == [("empty_file", None, None)]


def test_every_bad_line_is_told_up_to_a_hundred(world: World) -> None:
    found = mistakes(world, [line(number, method="PUT") for number in range(300)])
    assert found == [("invalid_method", number, "method") for number in range(1, 101)]


def test_a_file_of_too_many_lines_is_refused(world: World) -> None:
    content = b"\n".join(json.dumps(line(number)).encode() for number in range(MOST_LINES + 5))
    assert mistakes(world, content) == [("too_many_lines", None, None)]


@pytest.mark.parametrize("model", ["nobody", "gpt-4"])
def test_a_model_that_cannot_be_asked_is_refused(world: World, model: str) -> None:
    assert mistakes(world, [line(0, **body(model=model))]) == [("model_not_found", 1, "model")]


def test_a_model_that_the_key_may_not_use_is_as_good_as_none(world: World) -> None:
    assert mistakes(world, lines(1), models=frozenset({"other"})) == [("model_not_found", 1, "model")]


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
def test_lines_are_found_wherever_the_parts_end(size: int) -> None:
    content = b"one\n\ntwo\nthree"
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    found = list(split(parts))
    assert [(each.number, each.text) for each in found] == [(1, b"one"), (2, b""), (3, b"two"), (4, b"three")]
    assert all(content[each.start :].startswith(each.text) for each in found)
