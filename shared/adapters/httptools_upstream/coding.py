"""Content codings (RFC 9110, 8.4.1): upstreams are asked for none, and some use one all the same."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from shared.ports.upstream import BrokenOff

PIECE_BYTES = 256 * 1024
"""Decoded at a time: a few bytes may stand for gigabytes, and the reader decides how much is too much."""
LARGEST_WINDOW = 2**23
"""What RFC 8878 recommends that a decoder of zstd allows."""


class Decoder(Protocol):
    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes of a body stand for. BrokenOff when they stand for nothing."""
        ...


class Zlib:
    """gzip, and deflate with its header or, as some servers send it, without."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._is_new = True

    def pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                piece = self._decoded(data)
                data = self._decoder.unconsumed_tail
                if piece:
                    yield piece
        except zlib.error as error:
            raise BrokenOff(f"the body's coding is broken: {error}") from error

    def _decoded(self, data: bytes) -> bytes:
        is_new, self._is_new = self._is_new, False
        try:
            return self._decoder.decompress(data, PIECE_BYTES)
        except zlib.error:
            if not is_new:
                raise
        self._decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._decoder.decompress(data, PIECE_BYTES)


class Brotli:
    def __init__(self) -> None:
        import brotli

        self._error = brotli.error
        self._decoder = brotli.Decompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            while data or not self._decoder.can_accept_more_data():
                piece = self._decoder.process(data, output_buffer_limit=PIECE_BYTES)
                data = b""
                if piece:
                    yield piece
        except self._error as error:
            raise BrokenOff(f"the body's coding is broken: {error}") from error


class Zstandard:
    def __init__(self) -> None:
        from backports import zstd

        self._error = zstd.ZstdError
        limit = {int(zstd.DecompressionParameter.window_log_max): LARGEST_WINDOW.bit_length() - 1}
        self._decoder = zstd.ZstdDecompressor(options=limit)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            while data or not (self._decoder.needs_input or self._decoder.eof):
                piece = self._decoder.decompress(data, PIECE_BYTES)
                data = b""
                if piece:
                    yield piece
        except (self._error, EOFError) as error:
            raise BrokenOff(f"the body's coding is broken: {error}") from error


DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"gzip": Zlib,
    b"x-gzip": Zlib,
    b"deflate": Zlib,
    b"br": Brotli,
    b"zstd": Zstandard,
}


def decoder_of(content_encoding: bytes) -> Decoder | None:
    """None for a body without a coding. BrokenOff for a coding, or several, that are not known here."""
    coding = content_encoding.strip().lower()
    if coding in (b"", b"identity"):
        return None
    if found := DECODERS.get(coding):
        return found()
    raise BrokenOff(f"the upstream uses a coding that is not known: {coding[:40].decode('latin-1')}")
