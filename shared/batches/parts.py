"""What has been answered of a chunk: blobs of some lines each, so that a killed worker costs only a few.

A part is named by the epoch of the run that wrote it and begins with a line that tells what is in it. Two runs of a
chunk may have written the same line, if one of them was only thought dead: whoever reads the parts takes each line
from the first that has it.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, field

import msgspec

from shared.core.batches import Tokens
from shared.ports.blobs import Blobs

HEAD_BYTES = 16 * 1024
"""More than the first line of a part has."""
NO_TOKENS = Tokens()


class Head(msgspec.Struct, frozen=True):
    """The first line of a part."""

    lines: tuple[int, ...]
    """Numbers in the file: of the answers, then of the errors."""
    tokens: tuple[tuple[int, int, int, int], ...]
    """Of each of these lines: input, cached input, output, milliseconds."""
    completed: int
    """How many of the lines are answers."""
    answer_bytes: int
    error_bytes: int
    abandoned: tuple[int, int, int, int]
    """Tokens made for lines that have no outcome, because the batch was cancelled meanwhile."""


@dataclass(frozen=True, slots=True)
class Result:
    """A line's outcome, as it stands in the output or the error file."""

    number: int
    is_error: bool
    text: bytes
    """JSON with its line end."""
    tokens: Tokens = field(default_factory=Tokens)


@dataclass(frozen=True, slots=True)
class Part:
    uri: str
    head: Head
    offset: int
    """Where the answers begin; the errors stand behind them."""


class Parts:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def save(
        self,
        batch_id: str,
        step_id: str,
        epoch: int,
        number: int,
        results: list[Result],
        abandoned: Tokens = NO_TOKENS,
    ) -> None:
        answers = [each for each in results if not each.is_error]
        errors = [each for each in results if each.is_error]
        good, bad = (b"".join(each.text for each in group) for group in (answers, errors))
        head = Head(
            lines=tuple(each.number for each in (*answers, *errors)),
            tokens=tuple(astuple(each.tokens) for each in (*answers, *errors)),
            completed=len(answers),
            answer_bytes=len(good),
            error_bytes=len(bad),
            abandoned=astuple(abandoned),
        )
        path = f"{_folder(batch_id)}/{step_id}/{epoch:06}-{number:06}"
        self._blobs.put(path, msgspec.json.encode(head) + b"\n" + good + bad)

    def of(self, batch_id: str, step_id: str) -> list[Part]:
        """A chunk's parts, the oldest run's first."""
        return [self._part(uri) for uri in self._blobs.list(f"{_folder(batch_id)}/{step_id}")]

    def answers(self, part: Part) -> Iterator[bytes]:
        return self._blobs.read(part.uri, part.offset, part.head.answer_bytes)

    def errors(self, part: Part) -> Iterator[bytes]:
        return self._blobs.read(part.uri, part.offset + part.head.answer_bytes, part.head.error_bytes)

    def drop(self, batch_id: str) -> None:
        """Deletes all parts of a batch."""
        for uri in self._blobs.list(_folder(batch_id)):
            self._blobs.delete(uri)

    def _part(self, uri: str) -> Part:
        head, _, _ = b"".join(self._blobs.read(uri, 0, HEAD_BYTES)).partition(b"\n")
        return Part(uri, msgspec.json.decode(head, type=Head), len(head) + 1)


def _folder(batch_id: str) -> str:
    return f"batches/{batch_id}"
