"""A job that is charged by the second is charged from its turn in the engine on."""

import asyncio
from typing import Any

import pytest

from jobs.ml_worker.inference import Generation
from jobs.ml_worker.tasks import Report
from jobs.ml_worker.tasks.completion import Completion
from shared.core.fairness import Owner
from shared.core.jobs import Job
from shared.core.pricing import Price
from shared.jobs.charges import Terms
from tests.jobs.conftest import Bench
from tests.jobs.conftest import bench as bench  # noqa: PLC0414 (a fixture)

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


class Queued:
    """Whose engine may never come to the request's turn."""

    def __init__(self, *, comes_to_it: bool = True) -> None:
        self._comes_to_it = comes_to_it

    async def complete(
        self,
        _route: str,
        _body: dict[str, Any],
        _owner: Owner,
        generation: Generation,
    ) -> dict[str, Any]:
        if self._comes_to_it:
            generation.begin()
        return {"usage": USAGE}


def done_usage(job: Job, *, comes_to_it: bool = True) -> dict[str, Any]:
    done = asyncio.run(Completion(Queued(comes_to_it=comes_to_it), "chat_completions")({}, Report(job, lambda _: None)))
    assert done.usage is not None
    return done.usage


def test_the_seconds_begin_with_the_turn_in_the_engine(bench: Bench) -> None:
    run = bench.claimed(bench.create(terms=Terms(Price(second=1), 100)))
    assert done_usage(run).keys() == {*USAGE, "seconds"}
    assert done_usage(run, comes_to_it=False) == USAGE


@pytest.mark.parametrize("terms", [None, Terms(None, 0), Terms(Price(output=1), 100)])
def test_no_seconds_are_shown_where_none_are_charged(bench: Bench, terms: Terms | None) -> None:
    assert done_usage(bench.claimed(bench.create(terms=terms))) == USAGE
