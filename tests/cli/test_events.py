"""Event streams are read as they are written, wherever the network cuts them."""

import pytest

from cli.events import data_lines

STREAM = b': keep-alive\n\ndata: {"a": 1}\n\nevent: message\ndata: \xe2\x80\xa8\xc2\x85\r\n\r\ndata: [DONE]\n\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    parts = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert list(data_lines(parts)) == [b'{"a": 1}', "\u2028\u0085".encode(), b"[DONE]"]


def test_a_line_that_never_ended_is_not_an_event() -> None:
    assert list(data_lines([b"data: 1\n\ndata: 2"])) == [b"1"]
