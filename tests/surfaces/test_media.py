"""Pictures, sounds and files count by what they hold, read from their headers; never by their bytes as text."""

import base64
import json
import struct
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.surfaces import image_size, request
from shared.surfaces.input_size import InputSize, measure
from shared.surfaces.media import LARGEST_PICTURE, MOST_UNKNOWN, PAGE, UNKNOWN, image_tokens


@dataclass(frozen=True)
class Rule:
    image_tokens: int = 0
    audio_tokens_per_s: int = 0


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(5)


def jpeg(width: int, height: int, before: int = 0) -> bytes:
    """With a preview of another size and `before` bytes of a profile before the frame."""
    preview = b"\xff\xe1" + struct.pack(">H", 10) + b"\xff\xc0\x00\x11\x08\x00\x01\x00"
    profile = b"".join(b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000) for _ in range(before // 60_000))
    return b"\xff\xd8" + preview + profile + b"\xff\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)


def gif(width: int, height: int, *, screen: tuple[int, int] = (1, 1)) -> bytes:
    """With a color table and two extensions before the frame."""
    loop = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00" + b"!\xf9\x04\x00\x00\x00\x00\x00"
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\x81\x00\x00" + bytes(12)
    return head + loop + b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\x00"


def webp(kind: bytes, payload: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + kind + bytes(4) + payload + bytes(20)


def wav(seconds: float, rate: int = 16_000, tag: int = 1, bits: int = 16) -> bytes:
    form = struct.pack("<HHIIHH", tag, 1, rate, 7, 2, bits)
    head = b"RIFF\x00\x00\x00\x00WAVE" + b"fmt " + struct.pack("<I", 16) + form + b"data" + bytes(4)
    return head + bytes(int(seconds * rate * bits / 8) - len(head))


def mp3(seconds: float, kbits: int) -> bytes:
    head = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128) + bytes([0xFF, 0xFB, {32: 1, 128: 9}[kbits] << 4, 0])
    return head + bytes(int(seconds * kbits * 125) - len(head))


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def image(content: bytes, **more: Any) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64_of(content)}"
    return {"type": "image_url", "image_url": {"url": url, **more}}


def size_of(*parts: Any, rule: Rule = Rule()) -> InputSize:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode()
    return measure(request.read(body), len(body), rule)


PICTURES = {
    "png": png(1024, 700),
    "jpeg": jpeg(1024, 700),
    "jpeg with a profile": jpeg(1024, 700, before=240_000),
    "gif": gif(1024, 700, screen=(1024, 700)),
    "gif that is larger than its screen": gif(1024, 700),
    "gif whose frame is a part of it": gif(10, 10, screen=(1024, 700)),
    "webp": webp(b"VP8 ", bytes(6) + struct.pack("<HH", 1024, 700)),
    "webp without loss": webp(b"VP8L", b"\x2f" + struct.pack("<I", 1023 | 699 << 14)),
    "webp with an alpha channel": webp(b"VP8X", bytes(4) + struct.pack("<I", 1023)[:3] + struct.pack("<I", 699)[:3]),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_s_size_stands_in_its_header(kind: str) -> None:
    assert image_size.of_header(PICTURES[kind]) == (1024, 700)
    found = size_of(image(PICTURES[kind] + bytes(300_000)))
    assert (found.media, found.most_media) == (image_tokens(1024, 700),) * 2
    assert found.text_bytes < 200


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        *((1, 1, 255), (512, 512, 255), (513, 512, 425), (1024, 1024, 765), (2048, 4096, 1105), (4096, 8192, 1105)),
        *((8192, 100, 85 + 4 * 170), (20_000, 20_000, 765), (768, 2048, LARGEST_PICTURE)),
    ],
)
def test_a_picture_counts_by_openai_s_tiles(width: int, height: int, tokens: int) -> None:
    assert image_tokens(width, height) == image_tokens(height, width) == tokens


@given(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_no_picture_counts_more_than_the_largest(width: int, height: int) -> None:
    assert 255 <= image_tokens(width, height) <= LARGEST_PICTURE


def test_detail_and_the_model_s_own_number_decide() -> None:
    assert size_of(image(png(2048, 2048), detail="low")).media == 85
    assert size_of(image(png(2048, 2048), detail="auto")).media == 765
    assert size_of(image(png(2048, 2048)), rule=Rule(image_tokens=256)).media == 256


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "data:image/png;base64,iVBORw0K!!", "data:image/svg+xml,<svg/>", "data:", ""]
)
def test_a_picture_of_unknown_size_counts_as_the_largest(url: str) -> None:
    as_object = {"type": "image_url", "image_url": {"url": url}}
    assert size_of(as_object).most_media == size_of({"image_url": url}).most_media == LARGEST_PICTURE


def test_a_picture_written_with_escapes_is_the_same_picture() -> None:
    plain = json.dumps({"model": "m", "messages": [{"role": "user", "content": [image(PICTURES["jpeg"])]}]})
    escaped = plain.replace("/", "\\/").replace("+", "\\u002B").replace("image_url", "image\\u005furl")
    assert measure(request.read(escaped.encode()), len(escaped), Rule()).media == image_tokens(1024, 700)


def audio(content: bytes) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64_of(content), "format": "wav"}}


@pytest.mark.parametrize("content", [wav(60), wav(60, rate=44_100), wav(60, bits=8), mp3(60, 32), mp3(60, 128)])
def test_a_sound_counts_by_the_second(content: bytes) -> None:
    assert size_of(audio(content), rule=Rule(audio_tokens_per_s=10)).media == pytest.approx(600, abs=2)
    found = size_of(audio(content))
    assert found.media == pytest.approx(1920, abs=4)
    assert found.most_media >= found.media
    assert found.text_bytes < 200


def test_a_sound_that_tells_no_rate_counts_by_its_bytes_and_never_less_than_it_can_be() -> None:
    found = size_of(audio(wav(60, tag=49)), rule=Rule(audio_tokens_per_s=10))
    assert found.media == pytest.approx(4800, abs=5)
    assert found.most_media == pytest.approx(19_200, abs=20)


def file(content: bytes) -> dict[str, Any]:
    data = f"data:application/pdf;base64,{base64_of(content)}"
    return {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}


def test_a_pdf_counts_by_the_page_and_another_file_by_its_text() -> None:
    pages = b"<< /Type /Page >>\n<</Type/Pages /Count 2>>\n<</Type/Page/Parent 1 0 R>>" + bytes(50_000)
    assert size_of(file(b"%PDF-1.7\n" + pages)).media == 2 * PAGE
    assert size_of(file(b"%PDF-1.7\n" + bytes(60_000))).media == 4 * PAGE
    assert size_of(file(b"word " * 8000)).media == 10_000


@pytest.mark.parametrize(
    "part", [{"type": "video_url", "video_url": {"url": "data:"}}, {"file": {"file_id": "f"}}, {"x": 1}]
)
def test_what_nobody_can_measure_is_bounded_by_the_context(part: Any) -> None:
    found = size_of(part)
    assert (found.media, found.most_media) == (UNKNOWN, MOST_UNKNOWN)
    assert found.most(8192) == 8192


def test_text_counts_by_its_bytes() -> None:
    part = {"type": "text", "text": "word " * 800, "cache_control": {"type": "ephemeral"}}
    found = size_of(part)
    assert found.media == found.most_media == 0
    assert 4000 < found.text_bytes < 4200
    assert found.estimated(0) == found.text_bytes // 4
    assert (found.estimated(100), found.most(100)) == (100, 100)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["content", "type", "image_url", "url", "input_audio", "data", "file", "file_data"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=10,
    )
)
def test_whatever_a_caller_sends_measuring_does_not_fail(messages: Any) -> None:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    assert measure(request.read(body), len(body), Rule()).text_bytes <= len(body)
