"""A step of a batch that answers some of its lines. What earlier runs of the step have saved is not done again."""

import asyncio
import logging
import random
from typing import Any

import msgspec

from jobs.ml_worker.inference import Generation, Inference
from jobs.ml_worker.lines import CAREFUL, LineRun, Pace
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import Done, Report, may_pass
from shared import manifest
from shared.batches.input import Asked, asked
from shared.batches.lines import answered, refused, tokens_of
from shared.batches.parts import NO_TOKENS, Parts, Result
from shared.batches.records import BatchRecords
from shared.core.batches import Batch, Chunk, Status, Tokens
from shared.core.errors import BudgetExceeded, NotFound, OmniError, Unavailable, UpstreamTimeout
from shared.core.fairness import Owner
from shared.core.retries import delay_s
from shared.jobs import charges
from shared.jobs.charges import batch_cost
from shared.ports.blobs import Blobs

TRIES = 3
"""Of a line, within a run."""
CAREFUL_FROM = 4
"""The attempt from which on a chunk counts as one that ends its worker."""
PACE = Pace()

log = logging.getLogger(__name__)


class BatchChunk:
    def __init__(
        self,
        inference: Inference,
        records: BatchRecords,
        blobs: Blobs,
        slots: Slots,
        pace: Pace = PACE,
    ) -> None:
        self._inference = inference
        self._records = records
        self._blobs = blobs
        self._parts = Parts(blobs)
        self._slots = slots
        self._pace = pace
        self._timeouts_s = {route.name: route.timeout_s for route in manifest.load()}

    async def __call__(self, given: dict[str, Any], report: Report, /) -> Done:
        chunk = msgspec.convert(given, Chunk)
        batch = await asyncio.to_thread(self._records.get, chunk.batch_id)
        if batch is None or batch.status not in (Status.VALIDATING, Status.IN_PROGRESS):
            return Done({})
        saved = Saved(self._parts, chunk, report)
        await asyncio.to_thread(saved.look)
        todo = await asyncio.to_thread(self._todo, chunk, saved)
        careful = report.job.attempt >= CAREFUL_FROM
        if careful and todo:  # whichever line ended the worker last time, another one comes first now
            turn = (report.job.attempt - CAREFUL_FROM) % len(todo)
            todo = todo[turn:] + todo[:turn]

        allowance = Allowance(batch, chunk, saved.spent, saved.tally["completed"])
        owner = Owner.of_job(report.job)

        async def answer(line: Asked) -> Result:
            if allowance.is_spent:
                return refused(chunk.batch_id, line, BudgetExceeded("The budget has no room for this line."))
            result = await self._answer(chunk, line, owner, saved)
            allowance.count(result.tokens, is_answer=not result.is_error)
            return result

        try:
            await LineRun(answer, saved.add, self._slots, owner, CAREFUL if careful else self._pace).through(todo)
        finally:
            if report.is_cancelled():
                await saved.keep_abandoned()
        return Done(dict(saved.tally))

    def _todo(self, chunk: Chunk, saved: "Saved") -> list[Asked]:
        try:
            return list(asked(chunk, self._blobs.read(chunk.uri, chunk.start, chunk.length), saved.numbers))
        except FileNotFoundError:
            raise NotFound("The batch's input file is not there any more.", code="file_not_found") from None

    async def _answer(self, chunk: Chunk, line: Asked, owner: Owner, saved: "Saved") -> Result:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._answered(chunk, line, owner, saved)
            except Unavailable:  # nor can any other line be answered now
                raise
            except OmniError as error:
                if attempt == TRIES or not may_pass(error) or isinstance(error, UpstreamTimeout):
                    return refused(chunk.batch_id, line, error)
                await asyncio.sleep(delay_s(attempt, random.random()))  # noqa: S311 - jitter
            except Exception:  # whatever a line does wrong ends that line, not the chunk
                log.exception("line broke", extra={"fields": {"batch": chunk.batch_id, "line": line.number}})
                break
        return refused(chunk.batch_id, line, OmniError())

    def _timeout_s(self, chunk: Chunk) -> float:
        return self._timeouts_s[chunk.route]

    async def _answered(self, chunk: Chunk, line: Asked, owner: Owner, saved: "Saved") -> Result:
        """UpstreamTimeout after the time that a request to the route may take, from its turn in the engine on: no more
        was reserved for."""
        timeout_s, generation = self._timeout_s(chunk), Generation()

        def took_ms() -> int:
            return round(generation.seconds(timeout_s) * 1000)

        try:
            async with asyncio.timeout(None) as limit:
                generation.when_begun = lambda: limit.reschedule(asyncio.get_running_loop().time() + timeout_s)
                body = await self._inference.complete(chunk.route, line.body, owner, generation)
        except TimeoutError:
            if not limit.expired():
                raise
            raise UpstreamTimeout(f"The line ran longer than {timeout_s:g} s.", code="timeout") from None
        except asyncio.CancelledError:
            saved.abandoned += tokens_of(generation.counted(), took_ms())
            raise
        return answered(chunk.batch_id, line, body, took_ms())


class Allowance:
    """What a chunk's lines may cost together. All of them were reserved for, unless the batch got less than it can
    cost: then a chunk has its lines' share of that, and the lines beyond it are not begun."""

    def __init__(self, batch: Batch, chunk: Chunk, spent: Tokens, answers: int) -> None:
        charge = charges.read(batch.charge) if batch.charge else None
        is_short = charge is not None and charge.granted < charge.most
        self._price = charge.unit_price if charge and is_short else None
        self._most = charge.granted * chunk.lines / batch.total if charge and is_short else 0.0
        self._spent = spent
        self._answers = answers

    @property
    def is_spent(self) -> bool:
        return self._price is not None and batch_cost(self._price, self._spent, self._answers) >= self._most

    def count(self, tokens: Tokens, *, is_answer: bool) -> None:
        self._spent += tokens
        self._answers += is_answer


class Saved:
    """The lines of a chunk whose outcomes are kept, by whichever run."""

    def __init__(self, parts: Parts, chunk: Chunk, report: Report) -> None:
        self._parts = parts
        self._chunk = chunk
        self._report = report
        self._written = 0
        self.numbers: set[int] = set()
        self.tally = {"completed": 0, "failed": 0}
        self.spent = Tokens()
        """By the lines that earlier runs have answered."""
        self.abandoned = Tokens()
        """By lines of this run that were stopped; kept only if the batch was cancelled, since others are begun anew."""

    def look(self) -> None:
        for part in self._parts.of(self._chunk.batch_id, self._report.job.id):
            for place, (number, counted) in enumerate(zip(part.head.lines, part.head.tokens, strict=True)):
                self.spent += Tokens(*counted)
                self._note(number, is_error=place >= part.head.completed)

    async def add(self, results: list[Result]) -> None:
        await self._save(results)
        for each in results:
            self._note(each.number, is_error=each.is_error)
        self._report(len(self.numbers) / self._chunk.lines, tally=dict(self.tally))

    async def keep_abandoned(self) -> None:
        if self.abandoned != NO_TOKENS:
            await self._save([], self.abandoned)

    async def _save(self, results: list[Result], abandoned: Tokens = NO_TOKENS) -> None:
        job, number = self._report.job, self._written
        self._written += 1  # at once: a save that is cancelled goes on in its thread, and must not overwrite the next
        await asyncio.to_thread(self._parts.save, self._chunk.batch_id, job.id, job.epoch, number, results, abandoned)

    def _note(self, number: int, *, is_error: bool) -> None:
        if number not in self.numbers:
            self.numbers.add(number)
            self.tally["failed" if is_error else "completed"] += 1
