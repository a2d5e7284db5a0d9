"""Server-sent events from the bytes of an answer."""

from collections.abc import Iterable, Iterator

DONE = b"[DONE]"


def data_lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The `data` of each event, one line each, as OpenAI's streams have it. Comments and other fields are dropped.

    Splits at bytes and not with httpx's `iter_lines`, which also splits at U+2028 and its like; these may stand
    unescaped inside JSON.
    """
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
