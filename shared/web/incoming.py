"""A request as route functions see it: authenticated, and free of any framework."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from shared.core.errors import InvalidRequest
from shared.core.keys import Caller
from shared.manifest import Route
from shared.ports.blobs import PART_BYTES

PAGE_SIZE = re.compile(r"[0-9]{1,5}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
OF_A_KEY = re.compile(r"omni_|\b(free|basic|premium|prod|master)-key-")
WORD = re.compile(r"[A-Za-z0-9]+")
SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class UploadedFile:
    filename: str
    stream: IO[bytes]

    @property
    def size(self) -> int:
        """Bytes of its content, which has not been read yet."""
        size = self.stream.seek(0, 2)
        self.stream.seek(0)
        return size

    def parts(self) -> Iterator[bytes]:
        """The file's content, which can be read once."""
        while part := self.stream.read(PART_BYTES):
            yield part


@dataclass(frozen=True, slots=True)
class Incoming:
    route: Route
    caller: Caller
    request_id: str
    params: Mapping[str, str] = field(default_factory=dict)
    """What the path's `{placeholders}` matched."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    """Empty on a route that takes uploads."""
    form: Mapping[str, str] = field(default_factory=dict)
    """The fields of an upload, without its files."""
    files: Mapping[str, UploadedFile] = field(default_factory=dict)


def request_id(given: str, random_bits: Callable[[int], int] = random.getrandbits) -> str:
    """The caller's own request id when it is well-formed (1 to 128 of A-Z a-z 0-9 _ . -) and looks like no secret, else
    a new one."""
    is_fine = REQUEST_ID.fullmatch(given) and not OF_A_KEY.search(given) and not _has_secret(given)
    return given if is_fine else f"req_{random_bits(96):024x}"


def _has_secret(given: str) -> bool:
    """Whether it has what a key or a part of one looks like: it would be logged, and sent to upstreams. A long word of
    digits and letters in both cases is no UUID, no ULID, no hexadecimal number and nothing that a person writes."""
    long_words = (word for word in WORD.findall(given) if len(word) >= SHORTEST_SECRET)
    return any(all(re.search(kind, word) for kind in ("[a-z]", "[A-Z]", "[0-9]")) for word in long_words)


def check_query(route: Route, query: Mapping[str, str]) -> None:
    """InvalidRequest for a parameter that a list does not know: ignored in silence, it would show what was not asked
    for. One that takes `name[key]` is known by its name."""
    for name in query if route.query else ():
        if name.partition("[")[0] not in route.query:
            raise InvalidRequest(
                f"There is no '{name[:100]}' here; there are: {', '.join(route.query)}.", param=name[:100]
            )


def page_size(query: Mapping[str, str], default: int = 20, most: int = 100) -> int:
    """The `limit` of a list request; InvalidRequest unless it is a whole number from 1 to `most`."""
    text = query.get("limit", str(default))
    if not PAGE_SIZE.fullmatch(text) or not 1 <= int(text) <= most:
        raise InvalidRequest(f"'limit' must be a whole number from 1 to {most}.", param="limit")
    return int(text)
