"""The size of a picture in a `data:` address, from its header; the picture is not decoded."""

import binascii

HEADER_CHARACTERS = 512 * 1024
"""Of base64: a JPEG's size may stand behind a color profile and a preview."""
FIRST_CHARACTERS = 4096


def read(url: str) -> tuple[int, int] | None:
    """Width and height in pixels; None for what is no PNG, JPEG, GIF or WebP, or tells no size."""
    data = url[: HEADER_CHARACTERS + 200].partition(";base64,")[2]
    for characters in (FIRST_CHARACTERS, HEADER_CHARACTERS):
        size = of_header(_decoded(data[:characters]))
        if size or len(data) <= characters:
            break
    return size if size and min(size) > 0 else None


def of_header(head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return _big(head[16:20]), _big(head[20:24])
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _gif(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(head)
    return None


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text[: len(text) // 4 * 4])
    except ValueError:
        return b""


def _gif(head: bytes) -> tuple[int, int] | None:
    """Of the screen, or of the first frame where that is larger: decoders then enlarge the screen."""
    width, height, at = _little(head[6:8]), _little(head[8:10]), 13 + _colors(head[10:11])
    while head[at : at + 1] == b"!":  # an extension: a label, then blocks up to an empty one
        at += 2
        while size := _little(head[at : at + 1]):
            at += 1 + size
        at += 1
    if head[at : at + 1] != b"," or len(head) < at + 9:
        return None
    left, top, *frame = (_little(head[each : each + 2]) for each in range(at + 1, at + 9, 2))
    return max(width, left + frame[0]), max(height, top + frame[1])


def _colors(flags: bytes) -> int:
    """Bytes of the color table that these flags tell of."""
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Goes from segment to segment up to the one that begins a frame."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(head[at + 7 : at + 9]), _big(head[at + 5 : at + 7])
        else:
            at += 2 + _big(head[at + 2 : at + 4])
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    if head[12:16] == b"VP8X":
        return 1 + _little(head[24:27]), 1 + _little(head[27:30])
    if head[12:16] == b"VP8L":
        bits = _little(head[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF
    return None


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
