"""How much a request gives a model to read: its text by bytes, its media by what they hold."""

from typing import NamedTuple

from shared.core import tokens
from shared.surfaces import media, message_parts
from shared.surfaces.media import MediaRule
from shared.surfaces.request import InferenceRequest


class InputSize(NamedTuple):
    text_bytes: int
    """Of the body, without what is no text."""
    media: int = 0
    """Tokens of what is none ..."""
    most_media: int = 0
    """... and what they cannot be more than."""
    prompts: int = 1

    def estimated(self, context: int) -> int:
        """Tokens; no more than the model's context (0: not known) for each prompt."""
        return _within(context * self.prompts, self.text_bytes // tokens.BYTES_PER_TOKEN + self.media)

    def most(self, context: int) -> int:
        """Tokens that the request cannot have more of: one of its text has a byte at least."""
        return _within(context * self.prompts, self.text_bytes + self.most_media)


def _within(most: int, found: int) -> int:
    return min(found, most) if most else found


def measure(request: InferenceRequest, body_bytes: int, rule: MediaRule) -> InputSize:
    """Of a request whose body has so many bytes."""
    text, estimated, most = body_bytes, 0, 0
    for part in message_parts.of(request.messages):
        found = media.of_part(part, rule)
        text, estimated, most = text - found.payload_bytes, estimated + found.tokens, most + found.most
    return InputSize(max(0, text), estimated, most, request.prompts)
