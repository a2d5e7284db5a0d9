"""A job that is charged by the second is charged from its turn in the engine on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jobs.ml_worker.inference import UsageSoFar
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
    """Whose engine is busy with others for a while."""

    async def complete(
        self,
        _route: str,
        _body: dict[str, Any],
        _owner: Owner,
        when_begun: Callable[[], None] = lambda: None,
        counted_by: Callable[[UsageSoFar], None] = lambda _: None,
    ) -> dict[str, Any]:
        await asyncio.sleep(0.2)
        when_begun()
        return {"usage": USAGE}


def done_usage(job: Job) -> dict[str, Any]:
    done = asyncio.run(Completion(Queued(), "chat_completions")({}, Report(job, lambda _: None)))
    assert done.usage is not None
    return done.usage


def test_the_wait_for_others_is_not_charged(bench: Bench) -> None:
    run = bench.claimed(bench.create(terms=Terms(Price(second=1), 100)))
    usage = done_usage(run)
    assert usage.pop("seconds") < 0.2
    assert usage == USAGE


@pytest.mark.parametrize("terms", [None, Terms(None, 0), Terms(Price(output=1), 100)])
def test_no_seconds_are_shown_where_none_are_charged(bench: Bench, terms: Terms | None) -> None:
    assert done_usage(bench.claimed(bench.create(terms=terms))) == USAGE
