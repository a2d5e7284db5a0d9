"""Puts a batch's files together from the parts of its chunks: each line once, those without an outcome as errors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.batches.input import Asked, asked
from shared.batches.lines import unanswered
from shared.batches.parts import Part, Parts
from shared.core.batches import Chunk, Counts, Tokens
from shared.ports.blobs import Blobs


@dataclass(frozen=True, slots=True)
class Pick:
    """A part, and the lines that are taken from it."""

    part: Part
    numbers: frozenset[int]

    @property
    def is_whole(self) -> bool:
        return len(self.numbers) == len(self.part.head.lines)


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    chunk: Chunk
    picks: tuple[Pick, ...]
    done: frozenset[int]


class Assembly:
    def __init__(self, batch_id: str, blobs: Blobs, chunks: Sequence[tuple[str, Chunk]]) -> None:
        """`chunks`, in the order of their lines, with the ids of the steps that answered them."""
        self._batch_id = batch_id
        self._blobs = blobs
        self._parts = Parts(blobs)
        self._outcomes = [self._outcome(step_id, chunk) for step_id, chunk in chunks]

    def counts(self) -> Counts:
        """The failed ones are those with an outcome; the rest never got to run."""
        picks = [pick for outcome in self._outcomes for pick in outcome.picks]
        completed = sum(len(pick.numbers.intersection(_answered(pick.part))) for pick in picks)
        done = sum(len(outcome.done) for outcome in self._outcomes)
        return Counts(sum(outcome.chunk.lines for outcome in self._outcomes), completed, done - completed)

    def tokens(self) -> Tokens:
        """Of the lines with an outcome, and of those that were being answered when the batch was cancelled."""
        total = Tokens()
        for pick in (pick for outcome in self._outcomes for pick in outcome.picks):
            head = pick.part.head
            total += Tokens(*head.abandoned)
            for number, counted in zip(head.lines, head.tokens, strict=True):
                if number in pick.numbers:
                    total += Tokens(*counted)
        return total

    def answers(self) -> Iterator[bytes]:
        for outcome in self._outcomes:
            for pick in outcome.picks:
                yield from _taken(pick, _answered(pick.part), self._parts.answers(pick.part))

    def errors(self, code: str, message: str) -> Iterator[bytes]:
        """Code and message are for the lines that never got to run."""
        for outcome in self._outcomes:
            for pick in outcome.picks:
                numbers = pick.part.head.lines[pick.part.head.completed :]
                yield from _taken(pick, numbers, self._parts.errors(pick.part))
            for line in self._without_outcome(outcome):
                yield unanswered(self._batch_id, line, code, message)

    def _outcome(self, step_id: str, chunk: Chunk) -> ChunkOutcome:
        done: set[int] = set()
        picks = []
        for part in self._parts.of(self._batch_id, step_id):
            numbers = frozenset(part.head.lines) - done
            done |= numbers
            picks.append(Pick(part, numbers))
        return ChunkOutcome(chunk, tuple(picks), frozenset(done))

    def _without_outcome(self, outcome: ChunkOutcome) -> Iterator[Asked]:
        chunk = outcome.chunk
        if len(outcome.done) == chunk.lines:
            return
        try:
            yield from asked(chunk, self._blobs.read(chunk.uri, chunk.start, chunk.length), outcome.done)
        except FileNotFoundError:  # the input is gone, and nobody can name its lines any more
            return


def _answered(part: Part) -> tuple[int, ...]:
    return part.head.lines[: part.head.completed]


def _taken(pick: Pick, numbers: Sequence[int], content: Iterator[bytes]) -> Iterator[bytes]:
    """The content, or of its lines those that are taken from this part."""
    if pick.is_whole:
        yield from content
        return
    for number, text in zip(numbers, b"".join(content).splitlines(keepends=True), strict=True):
        if number in pick.numbers:
            yield text
