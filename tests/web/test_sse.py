"""Events of a stream, however the network cuts them and whichever line ends the server uses."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import UpstreamFailed
from shared.web import sse
from shared.web.sse import EventReader

PAYLOADS = [b'{"a": 1}', '{"b": "\u2028 é"}'.encode(), sse.DONE]
EVENTS = [b'data: {"a": 1}\n\n', b": keep-alive\n\n", 'data: {"b": "\u2028 é"}\n\n'.encode(), b"data: [DONE]\n\n"]
STREAM = b"".join(EVENTS)
MANY_BLANK_LINES = b"\n\n\ndata: 1\n\n\n\ndata: 2\n\n"


def read(*chunks: bytes) -> list[bytes]:
    """The blocks of the stream, one for each chunk that completed an event."""
    reader = EventReader()
    return [block for block in (*map(reader.feed, chunks), reader.close()) if block]


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", [b"", sse.BYTE_ORDER_MARK], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_blocks_hold_whole_events(size: int, mark: bytes, line_end: bytes) -> None:
    found = read(*cut(mark + STREAM.replace(b"\n", line_end), size))

    assert b"".join(found) == STREAM
    assert [event for block in found for event in sse.events(block)] == EVENTS
    assert [payload for block in found for payload in sse.payloads(block)] == PAYLOADS
    assert sse.ends(found[-1])


@given(st.data(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cuts_give_the_same_events(data: st.DataObject, line_end: bytes) -> None:
    stream = sse.BYTE_ORDER_MARK + STREAM.replace(b"\n", line_end)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    chunks = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]

    assert b"".join(read(*chunks)) == STREAM


@given(st.lists(st.sampled_from([b"\r", b"\n", b"data: 1", b": c", b"\xef", b"\xbb", b"\xbf"]), max_size=30))
def test_no_bytes_are_lost_or_doubled(parts: list[bytes]) -> None:
    whole = b"".join(parts).removeprefix(sse.BYTE_ORDER_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    at_once, piece_by_piece = b"".join(read(b"".join(parts))), b"".join(read(*parts))

    assert at_once.rstrip(b"\n") == piece_by_piece.rstrip(b"\n")
    assert list(sse.payloads(at_once)) == list(sse.payloads(piece_by_piece))
    assert whole.startswith(at_once)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_an_event_is_there_with_its_last_byte(line_end: bytes) -> None:
    reader = EventReader()
    assert reader.feed(b"data: 1" + line_end) == b""
    assert reader.feed(line_end[:1] if line_end == b"\r\n" else line_end) == b"data: 1\n\n"


def test_several_data_lines_carry_one_payload() -> None:
    assert list(sse.payloads(b'event: x\ndata: {"a":\ndata: 1}\n\ndata: 2\n\n')) == [b'{"a":\n1}', b"2"]


def test_blank_lines_alone_carry_nothing() -> None:
    assert b"".join(read(MANY_BLANK_LINES)) == MANY_BLANK_LINES
    assert list(sse.payloads(MANY_BLANK_LINES)) == [b"1", b"2"]


def test_what_is_cut_off_is_left_out_but_for_the_end() -> None:
    assert read(b'data: 1\n\ndata: {"a"') == [b"data: 1\n\n"]
    assert read(b"data: 1\n\ndata: [DONE]\n") == [b"data: 1\n\n", sse.LAST]
    assert read(b"data: 1\r\rdata:[DONE]") == [b"data: 1\n\n", sse.LAST]


def test_an_event_without_an_end_is_refused() -> None:
    reader = EventReader(most_event_bytes=1000)
    reader.feed(b"x" * 1000)
    with pytest.raises(UpstreamFailed):
        reader.feed(b"x")


def test_large_events_pass_within_the_bound() -> None:
    large = b"data: " + b"x" * 900
    assert b"".join(map(EventReader(most_event_bytes=1000).feed, cut(large + b"\n\n" + large + b"\n\n", 100)))


def test_chunks_become_blocks() -> None:
    async def run() -> list[bytes]:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in cut(STREAM, 5):
                yield chunk

        return [block async for block in sse.blocks(chunks())]

    assert asyncio.run(run()) == EVENTS


def test_only_an_event_of_its_own_is_the_end() -> None:
    assert not sse.ends(b'data: {"text": "data: [DONE]"}\n\n')
    assert sse.ends(b"data:[DONE]\n\n")
