"""An upstream that compresses what it was asked for plain is read all the same, and within the same bounds."""

import gzip
import zlib

import brotli
import pytest
from backports import zstd

from shared.ports.upstream import AnswerTooLarge, BrokenOff
from tests.contracts.upstream_client import body, client, in_loop, request
from tests.contracts.upstream_server import Script, Visit, serving

TEXT = b'{"text": "' + b"hello " * 5000 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
BOMB = bytes(200 * 1024 * 1024)


def coded(coding: str, content: bytes, cut: int = 0) -> Script:
    async def script(visit: Visit) -> None:
        assert b"accept-encoding: identity" in await visit.request()
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {len(content)}\r\n\r\n"
        await visit.send(head.encode())
        for start in range(0, len(content), cut or len(content)):
            await visit.send(content[start : start + (cut or len(content))])

    return script


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("cut", [0, 7], ids=["at once", "in pieces"])
@in_loop
async def test_a_coded_body_is_read(coding: str, cut: int) -> None:
    async with serving(coded(coding, CODINGS[coding](TEXT), cut)) as server, client() as upstream:
        assert await body(upstream, request(server)) == (200, TEXT)


@pytest.mark.parametrize("coding", CODINGS)
@in_loop
async def test_a_few_bytes_that_stand_for_many_have_a_bound(coding: str) -> None:
    async with serving(coded(coding, CODINGS[coding](BOMB))) as server, client(most_answer_bytes=2**20) as upstream:
        with pytest.raises(AnswerTooLarge):
            await body(upstream, request(server))


BROKEN = [("gzip", b"no gzip at all"), ("br", b"\xff" * 20), ("zstd", b"no"), ("unheard-of", b"of")]


@pytest.mark.parametrize(("coding", "content"), BROKEN)
@in_loop
async def test_what_cannot_be_decoded_breaks_the_exchange_off(coding: str, content: bytes) -> None:
    async with serving(coded(coding, content)) as server, client() as upstream:
        with pytest.raises(BrokenOff):
            await body(upstream, request(server))
