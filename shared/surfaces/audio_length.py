"""How long a sound in base64 is, from its header; nothing is decoded but that."""

import binascii
from typing import NamedTuple

HEADER_CHARACTERS = 64 * 1024
USUAL_BYTES_PER_S = 4000
"""32 kbit/s: where the header tells nothing."""
FEWEST_BYTES_PER_S = 1000
"""8 kbit/s, the least an MP3 file may have."""
KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of layer III, by MPEG's version."""
PLAIN_FORMATS = (1, 2, 3, 6, 7, 0xFFFE)
"""Of WAV: those whose samples all have the number of bits that the header tells."""


class Length(NamedTuple):
    seconds: float
    most_seconds: float
    """It cannot be longer, however its bit rate changes."""


def read(data: str) -> Length:
    size = len(data) * 3 // 4
    try:
        head = binascii.a2b_base64(data[: min(len(data), HEADER_CHARACTERS) // 4 * 4])
    except ValueError:
        head = b""
    if per_s := _wav_bytes_per_s(head):
        return Length(size / per_s, size / per_s)
    return Length(size / (_mp3_bytes_per_s(head) or USUAL_BYTES_PER_S), size / FEWEST_BYTES_PER_S)


def _wav_bytes_per_s(head: bytes) -> float:
    """By channels, samples and bits, as a player reads them; 0 for what is no WAV with plain samples."""
    at = head.find(b"fmt ", 12, 4096)
    if not head.startswith(b"RIFF") or head[8:12] != b"WAVE" or at < 0:
        return 0
    if _little(head[at + 8 : at + 10]) not in PLAIN_FORMATS:
        return 0
    channels, rate = _little(head[at + 10 : at + 12]), _little(head[at + 12 : at + 16])
    return channels * rate * _little(head[at + 22 : at + 24]) / 8


def _mp3_bytes_per_s(head: bytes) -> float:
    """By the first frame, behind an ID3 tag; 0 for what is no MP3."""
    at = 0
    if head.startswith(b"ID3") and len(head) >= 10:
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    frame = head[at : at + 4]
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0 or frame[2] >> 4 == 15:
        return 0
    return KBITS[1 if frame[1] >> 3 & 3 == 3 else 2][frame[2] >> 4] * 1000 / 8


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
