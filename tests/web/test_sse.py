"""Events of a stream, however the network cuts them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.core.errors import UpstreamFailed
from shared.web import sse

EVENTS = [b'data: {"a": 1}\n\n', b": keep-alive\n\n", b'data: {"b": "\xe2\x80\xa8"}\r\n\r\n', b"data: [DONE]\n\n"]


def blocks(*chunks: bytes) -> list[bytes]:
    async def given() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def run() -> list[bytes]:
        return [block async for block in sse.blocks(given())]

    return asyncio.run(run())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_blocks_hold_whole_events(size: int) -> None:
    stream = b"".join(EVENTS)
    found = blocks(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert b"".join(found) == stream
    assert [event for block in found for event in sse.events(block)] == EVENTS
    assert [payload for block in found for payload in sse.payloads(block)] == [
        b'{"a": 1}',
        '{"b": "\u2028"}'.encode(),
        sse.DONE,
    ]
    assert [sse.ends(block) for block in found][-1]


def test_what_is_cut_off_is_left_out_but_for_the_end() -> None:
    assert blocks(b'data: 1\n\ndata: {"a"') == [b"data: 1\n\n"]
    assert blocks(b"data: 1\n\ndata: [DONE]\n") == [b"data: 1\n\n", sse.LAST]


def test_an_event_without_an_end_is_refused() -> None:
    with pytest.raises(UpstreamFailed):
        blocks(*[b"x" * 1024 * 1024] * 5)


def test_only_an_event_of_its_own_is_the_end() -> None:
    assert not sse.ends(b'data: {"text": "data: [DONE]"}\n\n')
    assert sse.ends(b"data:[DONE]\n\n")
