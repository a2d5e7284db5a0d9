"""How many tokens a picture, a sound or a file is for a model: by what it holds, never by its bytes as text.

Pictures count by OpenAI's rule: 85 tokens, and 170 more for each tile of 512 pixels after the picture was made to fit
into 2048 x 2048 and its shorter side 768; with `detail: low` 85. Sounds count by the second. PDF files count by the
page, others by their text. A model whose server counts otherwise says so in models.toml.
"""

import binascii
import math
import re
from typing import NamedTuple, Protocol

import msgspec

from shared.core.tokens import BYTES_PER_TOKEN
from shared.surfaces import audio_length, image_size, message_parts
from shared.surfaces.message_parts import Fields
from shared.surfaces.usage import NOT_JSON

LOW_DETAIL, TILE, TILE_PX = 85, 170, 512
FIT_PX, SHORTER_PX = 2048, 768
LARGEST_PICTURE = LOW_DETAIL + 8 * TILE
"""No picture has more tiles than one of 768 x 2048 pixels."""
AUDIO_TOKENS_PER_S = 32
"""Gemini's; OpenAI counts 10 and most open models 25 or fewer."""
PAGE = 2000
"""Tokens of a PDF's page: its text and a picture of it."""
BYTES_OF_A_PAGE = 20_000
UNKNOWN, MOST_UNKNOWN = 1000, 1_000_000
"""Of what is at an address, in a stored file or of an unknown kind."""
TEXT_FIELDS = frozenset({"type", "text", "refusal", "cache_control", "annotations", "id", "name"})
_PAGES = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")


class MediaRule(Protocol):
    """How a model's server counts; 0: as described above."""

    @property
    def image_tokens(self) -> int: ...
    @property
    def audio_tokens_per_s(self) -> int: ...


class Media(NamedTuple):
    """Of one part of a message."""

    tokens: int = 0
    most: int = 0
    """It cannot have more."""
    payload_bytes: int = 0
    """Of the request's body, which are no text."""


NO_MEDIA = Media()


def of_part(part: Fields, rule: MediaRule) -> Media:
    """What a part of a message has beside text."""
    if part.keys() <= TEXT_FIELDS:
        return NO_MEDIA
    if (image := part.get("image_url")) is not None:
        return _image(image, rule)
    if (audio := part.get("input_audio")) is not None:
        return _audio(message_parts.fields(audio), rule)
    if (file := part.get("file")) is not None:
        return _file(message_parts.fields(file))
    return Media(UNKNOWN, MOST_UNKNOWN)


def image_tokens(width: int, height: int) -> int:
    """Of a picture in high detail, by OpenAI's rule."""
    shrink = min(1.0, FIT_PX / max(width, height))
    shrink *= min(1.0, SHORTER_PX / (min(width, height) * shrink))
    return LOW_DETAIL + TILE * _tiles(width * shrink) * _tiles(height * shrink)


def _tiles(pixels: float) -> int:
    return max(1, math.ceil(round(pixels, 6) / TILE_PX))


def _image(raw: msgspec.Raw, rule: MediaRule) -> Media:
    found = message_parts.fields(raw)
    url, detail = _text(found.get("url", raw)), _text(found.get("detail", msgspec.Raw(b'""')))
    payload = len(url) if url.startswith("data:") else 0
    if rule.image_tokens:
        return Media(rule.image_tokens, rule.image_tokens, payload)
    if detail == "low":
        return Media(LOW_DETAIL, LOW_DETAIL, payload)
    size = image_size.read(url) if payload else None
    tokens = image_tokens(*size) if size else LARGEST_PICTURE
    return Media(tokens, tokens, payload)


def _audio(found: Fields, rule: MediaRule) -> Media:
    data = _text(found.get("data", msgspec.Raw(b'""')))
    if not data or data.startswith(("http:", "https:")):
        return Media(UNKNOWN, MOST_UNKNOWN)
    length = audio_length.read(data)
    each = rule.audio_tokens_per_s or AUDIO_TOKENS_PER_S
    return Media(math.ceil(length.seconds * each), math.ceil(length.most_seconds * each), len(data))


def _file(found: Fields) -> Media:
    data = _text(found.get("file_data", msgspec.Raw(b'""')))
    if not data:
        return Media(UNKNOWN, MOST_UNKNOWN)
    try:
        content = binascii.a2b_base64(data.partition(",")[2] if data.startswith("data:") else data)
    except ValueError:
        return Media(len(data) // BYTES_PER_TOKEN, len(data), len(data))
    if not content.startswith(b"%PDF"):
        return Media(len(content) // BYTES_PER_TOKEN, len(content), len(data))
    pages = len(_PAGES.findall(content)) or math.ceil(len(content) / BYTES_OF_A_PAGE)
    return Media(pages * PAGE, max(pages * PAGE, len(content)), len(data))


def _text(raw: msgspec.Raw) -> str:
    """Empty for what is no text."""
    try:
        return msgspec.json.decode(raw, type=str)
    except NOT_JSON:
        return ""
