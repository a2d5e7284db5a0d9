"""A job's end and the webhook that tells of it are one commit, whoever ends it and however often."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared.core.jobs import LIFETIME_S, Failed, Job, JobError, State, Succeeded
from shared.ports.store import Query
from tests.jobs.conftest import LEASE_S, Bench

HOOK = {"url": "https://hook.example/", "events": None}


def rows(bench: Bench, job: Job) -> list[dict[str, Any]]:
    where = (("tenant", "==", job.tenant), ("job_id", "==", job.id))
    return bench.store.query(Query("webhooks", where)).documents  # type: ignore[arg-type]


def finished(bench: Bench, job: Job) -> None:
    bench.jobs.finish(bench.claimed(job), Succeeded({}))


def test_a_finished_job_has_one_row_and_one_wake_up(bench: Bench) -> None:
    run = bench.claimed(bench.create(webhook=HOOK))
    for _ in range(3):
        bench.jobs.finish(run, Succeeded({"answer": 42}))
    (row,) = rows(bench, run)
    (delivery,) = bench.queue.due("webhook", 10)
    assert json.loads(delivery.task.body) == {"id": row["id"], "seq": 1, "tenant": "acme", "deferred": 0}
    payload = json.loads(row["payload"])
    assert payload["type"] == "job.succeeded"
    assert (payload["data"]["id"], payload["data"]["result"]) == (run.id, {"answer": 42})


def test_a_row_is_there_though_the_queue_is_down(bench: Bench) -> None:
    run = bench.claimed(bench.create(webhook=HOOK))
    bench.queue.broken = True
    bench.jobs.finish(run, Succeeded({}))
    assert len(rows(bench, run)) == 1


def test_a_large_result_stays_out_of_the_payload(bench: Bench) -> None:
    run = bench.claimed(bench.create(webhook=HOOK))
    bench.jobs.finish(run, Succeeded({"text": "x" * 17_000}))
    assert "result" not in json.loads(rows(bench, run)[0]["payload"])["data"]


def test_a_run_that_lost_the_job_tells_nobody(bench: Bench) -> None:
    old = bench.claimed(bench.create(webhook=HOOK))
    bench.clock.advance(LEASE_S)
    bench.jobs.reap()
    bench.clock.advance(5)
    bench.claimed(bench.now(old))
    assert bench.jobs.finish(old, Succeeded({})) is None
    assert rows(bench, old) == []


def test_every_end_is_told(bench: Bench) -> None:
    cancelled, failed, expired = (bench.create(webhook=HOOK) for _ in range(3))
    bench.jobs.cancel("acme", cancelled.id)
    bench.jobs.finish(bench.claimed(failed), Failed(JobError("x", "", retryable=False)))
    bench.clock.advance(LIFETIME_S)
    bench.jobs.reap()
    told = [row["event"] for job in (cancelled, failed, expired) for row in rows(bench, job)]
    assert told == ["job.cancelled", "job.failed", "job.expired"]


def test_cancel_racing_finish_tells_of_one_end(bench: Bench) -> None:
    for _ in range(20):
        job = bench.create(webhook=HOOK)
        with ThreadPoolExecutor(2) as threads:
            threads.submit(finished, bench, job)
            threads.submit(bench.jobs.cancel, "acme", job.id)
        ended = bench.now(job)
        if ended.state is State.RUNNING:  # the cancellation came while it ran, and it was asked to stop
            bench.jobs.finish(ended, Succeeded({}))
        assert len(rows(bench, job)) == 1


def test_a_job_without_a_webhook_costs_no_write_more(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    before = bench.store.writes
    bench.jobs.finish(run, Succeeded({}))
    assert bench.store.writes - before == 1
