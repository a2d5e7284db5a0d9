"""A batch's input file, line by line: bounded in memory, and every mistake found with the number of its line."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.core.batches import (
    MOST_CHUNK_BYTES,
    MOST_ERRORS,
    MOST_LINE_BYTES,
    MOST_LINES,
    Batch,
    Chunk,
    Mistake,
    chunk_size,
)
from shared.core.errors import InvalidRequest, NotFound, OmniError
from shared.manifest import Route
from shared.web.schemas import MODELS
from shared.web.structure import check_structure
from shared.web.validation import parse

MOST_CUSTOM_ID = 512
MOST_READ_BYTES = 16 * MOST_LINE_BYTES
"""Of a line: it is too long by far, and read for its custom_id."""
MARK = b"\xef\xbb\xbf"
"""Some editors begin a file in UTF-8 with it."""

Worst = Callable[[bytes], int]
"""The most that a line with this body can cost, in nano-dollars."""
PriceOf = Callable[[str], Worst]
"""What the lines that ask a model can cost."""


class Request(msgspec.Struct):
    """A line. Fields that it has beside these are not looked at, as OpenAI does."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class Named(msgspec.Struct):
    """As much of a line as decides about the whole file."""

    custom_id: str
    url: Any = None


_decode = msgspec.json.Decoder(Request).decode
_decode_name = msgspec.json.Decoder(Named).decode
_decode_body = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    """1 for the first line of the file."""
    start: int
    """Byte in the file."""
    text: bytes
    """Without its end; cut off after MOST_READ_BYTES + 1."""

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()


@dataclass(frozen=True, slots=True)
class Asked:
    """A line that was found valid, as a worker answers it."""

    number: int
    custom_id: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be answered, and why."""

    line: Asked
    error: OmniError


@dataclass(slots=True)
class Findings:
    """What a file holds."""

    model: str = ""
    starts: list[int] = field(default_factory=list)
    """Where each line that is not blank begins, in bytes."""
    numbers: list[int] = field(default_factory=list)
    """And its number."""
    size: int = 0
    most: int = 0
    """Nano-dollars that all lines together can cost."""
    refused: dict[int, Refused] = field(default_factory=dict)
    """By number: lines that cannot be answered, though the others can."""
    mistakes: list[Mistake] = field(default_factory=list)
    """Why the file as a whole is no batch's."""

    def refused_of(self, chunk: Chunk) -> list[Refused]:
        first = bisect_left(self.numbers, chunk.first_line)
        numbers = self.numbers[first : first + chunk.lines]
        return [self.refused[number] for number in numbers if number in self.refused]

    def chunks(self, batch: Batch, uri: str, route: str) -> list[Chunk]:
        """The lines in groups that a worker can hold: neither too many nor, together, too large."""
        ends = [*self.starts, self.size]
        found, first = [], 0
        for last in self._cuts():
            found.append(
                Chunk(
                    batch_id=batch.id,
                    uri=uri,
                    route=route,
                    start=self.starts[first],
                    length=ends[last] - self.starts[first],
                    first_line=self.numbers[first],
                    lines=last - first,
                )
            )
            first = last
        return found

    def _cuts(self) -> Iterator[int]:
        """Before which lines a new chunk begins, and the end."""
        most, first = chunk_size(len(self.starts)), 0
        for place, start in enumerate(self.starts):
            if place - first == most or (place > first and start - self.starts[first] >= MOST_CHUNK_BYTES):
                yield place
                first = place
        yield len(self.starts)


def lines(parts: Iterable[bytes], number: int = 1, start: int = 0) -> Iterator[Line]:
    """The lines of a file that comes in parts. One that is too long is cut off, never held whole."""
    rest, begun = b"", start
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for text in whole:
            yield _line(number, begun, text)
            number += 1
            begun += len(text) + 1
        if len(rest) > MOST_READ_BYTES:
            yield _line(number, begun, rest[: MOST_READ_BYTES + 1])
            return
    if rest:
        yield _line(number, begun, rest)


def _line(number: int, start: int, text: bytes) -> Line:
    mark = MARK if start == 0 and text.startswith(MARK) else b""
    return Line(number, start + len(mark), text.removeprefix(mark))


def asked(chunk: Chunk, parts: Iterable[bytes], done: Collection[int] = ()) -> Iterator[Asked]:
    """The requests of a chunk, from its bytes, without the lines of these numbers."""
    for line in lines(parts, chunk.first_line, chunk.start):
        if not line.is_blank and line.number not in done:
            request = _decode(line.text)
            yield Asked(line.number, request.custom_id, _decode_body(request.body))


class Inspection:
    """Reads a file as the worker would. A line that cannot be answered costs only itself, as long as it has a name."""

    def __init__(
        self, batch: Batch, route: Route, endpoints: Collection[str], price_of: PriceOf, max_depth: int
    ) -> None:
        """`endpoints` is where lines can ask at all; `price_of` raises NotFound or InvalidRequest for a model that
        cannot be asked."""
        self._batch = batch
        self._route = route
        self._endpoints = endpoints
        self._price_of = price_of
        self._worst: Worst = _nothing
        self._max_depth = max_depth
        self._ids: dict[str, int] = {}
        self._found = Findings()

    def of(self, parts: Iterable[bytes]) -> Findings:
        found = self._found
        for line in lines(parts):
            found.size = line.start + len(line.text) + 1
            if line.is_blank:
                continue
            found.starts.append(line.start)
            found.numbers.append(line.number)
            self._look_at(line)
            if len(found.starts) > MOST_LINES:
                self._note("too_many_lines", f"A batch may have {MOST_LINES:,} requests at most.")
            if len(found.mistakes) >= MOST_ERRORS or len(found.starts) > MOST_LINES:
                return found
        if not found.starts:
            self._note("empty_file", "The file holds no request.")
        return found

    def _look_at(self, line: Line) -> None:
        try:
            named = self._named(line)
        except InvalidRequest as error:
            self._note(error.code, error.message, line.number, error.param)
            return
        try:
            self._check(line)
        except (InvalidRequest, NotFound) as error:
            self._found.refused[line.number] = Refused(Asked(line.number, named.custom_id, {}), error)

    def _named(self, line: Line) -> Named:
        """InvalidRequest when the file is no batch's because of this line."""
        try:
            line.text.decode()
            named = _decode_name(line.text)
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"This line is not UTF-8: byte {error.start + 1}.", code="invalid_encoding") from None
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"This line is no request: {_plain(error)}.", code="invalid_line") from None
        except (msgspec.DecodeError, RecursionError) as error:
            if len(line.text) > MOST_READ_BYTES:
                text, code = f"This line has more than {MOST_READ_BYTES} bytes.", "line_too_large"
                raise InvalidRequest(text, code=code) from None
            raise InvalidRequest(f"This line is not valid JSON: {error}.", code="invalid_json_line") from None
        self._check_name(named, line.number)
        return named

    def _check_name(self, named: Named, number: int) -> None:
        if not named.custom_id:
            raise InvalidRequest("'custom_id' must not be empty.", param="custom_id", code="invalid_value")
        if (before := self._ids.setdefault(named.custom_id, number)) != number:
            raise InvalidRequest(
                f"The custom_id '{named.custom_id[:MOST_CUSTOM_ID]}' stands in line {before} already.",
                param="custom_id",
                code="duplicate_custom_id",
            )
        if isinstance(named.url, str) and named.url != self._batch.endpoint and named.url in self._endpoints:
            raise self._mismatched_url()

    def _mismatched_url(self) -> InvalidRequest:
        message = f"'url' should be the batch's endpoint, '{self._batch.endpoint}'."
        return InvalidRequest(message, param="url", code="mismatched_url")

    def _check(self, line: Line) -> None:
        """InvalidRequest or NotFound when this line cannot be answered."""
        request = self._request(line)
        if len(request.custom_id) > MOST_CUSTOM_ID:
            raise InvalidRequest(
                f"'custom_id' should have 1 to {MOST_CUSTOM_ID} characters.", param="custom_id", code="invalid_value"
            )
        if request.method != "POST":
            raise InvalidRequest("'method' should be 'POST'.", param="method", code="invalid_method")
        if request.url != self._batch.endpoint:
            raise self._mismatched_url()
        self._check_body(bytes(request.body))

    def _request(self, line: Line) -> Request:
        if len(line.text) > MOST_LINE_BYTES:
            raise InvalidRequest(f"A line may have {MOST_LINE_BYTES} bytes at most.", code="line_too_large")
        check_structure(line.text, self._max_depth)
        try:
            return _decode(line.text)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"This line is no request: {_plain(error)}.", code="invalid_line") from None

    def _check_body(self, body: bytes) -> None:
        wanted = parse(MODELS[self._route.request], body, self._max_depth)
        fields = wanted.model_dump(include={"model", "stream"})
        if fields.get("stream"):
            raise InvalidRequest("A batch's answers are kept, not streamed.", param="stream", code="invalid_value")
        model = str(fields["model"])
        price = self._price_of(model)
        if not self._found.model:
            self._worst, self._found.model = price, model
        if model != self._found.model:
            raise InvalidRequest(
                f"All lines should ask the same model, '{self._found.model}'.", param="model", code="mismatched_model"
            )
        self._found.most += self._worst(body)

    def _note(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        self._found.mistakes.append(Mistake(code, message, line, param))


def _nothing(_body: bytes) -> int:
    return 0


def _plain(error: msgspec.ValidationError) -> str:
    return str(error).replace("`", "'")
