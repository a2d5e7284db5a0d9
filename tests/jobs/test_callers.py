"""What callers may rely on: create, get, list, cancel."""

import json

import pytest

from shared.core.errors import Conflict, InvalidRequest, NotFound
from shared.core.jobs import RETENTION_S, SHARDS, Failed, Job, JobError, State, Substate, Succeeded
from shared.jobs.orders import JobFilter
from shared.ports.blobs import INLINE_BYTES
from tests.jobs.conftest import Bench

ANY = JobFilter()


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def listed(bench: Bench, wanted: JobFilter = ANY, limit: int = 100) -> list[str]:
    """The ids of all pages."""
    found, after = [], ""
    while True:
        page = bench.jobs.list("acme", wanted, limit, after)
        found += ids(page.items)
        if not (after := page.next_cursor):
            return found


def test_a_created_job_is_in_the_store_and_its_wake_up_in_the_queue(bench: Bench) -> None:
    job = bench.create(metadata={"order": "42"}, priority="high", trace_id="req_1")
    assert bench.now(job) == job
    assert (job.state, job.substate, job.outbox) == (State.QUEUED, Substate.PENDING_DISPATCH, True)
    assert (job.metadata, job.priority, job.trace_id) == ({"order": "42"}, "high", "req_1")
    (delivery,) = bench.due()
    assert delivery.task.url == "http://worker/tasks/run"
    assert json.loads(delivery.task.body) == {"job_id": job.id, "seq": 1, "tenant": "acme", "weight": 4}


def test_a_job_is_kept_though_the_queue_is_down(bench: Bench) -> None:
    bench.queue.broken = True
    job = bench.create()
    assert bench.now(job).outbox
    assert bench.due() == []


def test_jobs_spread_over_the_shards(bench: Bench) -> None:
    assert {bench.create().shard for _ in range(200)} == set(range(SHARDS))


def test_a_small_input_is_inline_and_a_large_one_a_blob(bench: Bench) -> None:
    small, large = {"text": "x"}, {"text": "x" * INLINE_BYTES}
    inline, apart = bench.create(given=small), bench.create(given=large)
    assert (inline.input, inline.input_uri) == (small, "")
    assert apart.input is None
    assert bench.jobs.input(bench.now(inline)) == small
    assert bench.jobs.input(bench.now(apart)) == large


def test_a_large_result_is_a_blob_named_by_epoch(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    result = {"text": "x" * INLINE_BYTES}
    after = bench.jobs.finish(run, Succeeded(result))
    assert after is not None
    assert after.result is None
    assert after.result_uri.endswith("result-1.json")
    assert bench.jobs.result(bench.now(after)) == result


def test_another_tenants_job_does_not_exist(bench: Bench) -> None:
    job = bench.create(tenant="other")
    for ask in (bench.jobs.get, bench.jobs.cancel):
        with pytest.raises(NotFound):
            ask("acme", job.id)
    assert listed(bench) == []
    assert bench.now(job).state is State.QUEUED


@pytest.mark.parametrize("job_id", ["", "job_none", "../x", "job_" + "x" * 5000, "job_\u00e9"])
def test_what_is_no_job_is_not_found(bench: Bench, job_id: str) -> None:
    with pytest.raises(NotFound):
        bench.jobs.get("acme", job_id)


def test_a_job_is_forgotten_after_its_time(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    bench.jobs.finish(run, Succeeded({}))
    bench.clock.advance(RETENTION_S - 1)
    assert listed(bench) == [run.id]
    bench.clock.advance(2)
    assert listed(bench) == []
    with pytest.raises(NotFound):
        bench.jobs.get("acme", run.id)


def test_a_list_is_newest_first_and_whole_over_its_pages(bench: Bench) -> None:
    made = []
    for _ in range(7):
        made.append(bench.create().id)
        bench.clock.advance(1)
    assert listed(bench, limit=3) == made[::-1]


def test_a_list_is_narrowed_by_state(bench: Bench) -> None:
    waiting, taken = bench.create(), bench.create()
    bench.claimed(taken)
    assert listed(bench, JobFilter(State.QUEUED)) == [waiting.id]
    assert listed(bench, JobFilter(State.RUNNING)) == [taken.id]


def test_a_list_is_narrowed_by_task_and_metadata_over_its_pages(bench: Bench) -> None:
    expected = []
    for n in range(30):
        job = bench.create(task="completions" if n % 3 else "chat_completions", metadata={"n": str(n % 2), "x": "y"})
        bench.clock.advance(1)
        if n % 3 and n % 2:
            expected.append(job.id)
    assert listed(bench, JobFilter(task="completions", metadata={"n": "1"}), limit=4) == expected[::-1]


def test_a_list_passes_over_a_document_it_cannot_read(bench: Bench) -> None:
    good, bad = bench.create(), bench.create()
    bench.plant(bad, attempt="three")
    assert listed(bench) == [good.id]


def test_a_cursor_that_no_list_gave_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidRequest):
        bench.jobs.list("acme", ANY, 10, "nonsense")


def test_a_queued_job_is_cancelled_at_once_and_never_runs(bench: Bench) -> None:
    job = bench.create()
    assert bench.jobs.cancel("acme", job.id).state is State.CANCELLED
    assert bench.jobs.claim(job.id, 1, "w") is None
    assert bench.jobs.cancel("acme", job.id).state is State.CANCELLED


def test_a_running_job_is_asked_to_stop(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    assert bench.jobs.cancel("acme", run.id).cancel_requested
    beat = bench.jobs.heartbeat(run)
    assert beat is not None
    assert beat.cancel_requested


def test_a_job_that_has_ended_cannot_be_cancelled(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    bench.jobs.finish(run, Failed(JobError("invalid_request", "", retryable=False)))
    with pytest.raises(Conflict):
        bench.jobs.cancel("acme", run.id)


def test_what_is_not_kept_any_more_is_not_found(bench: Bench) -> None:
    """A bucket forgets bodies by their age, whatever refers to them."""
    large = {"text": "x" * INLINE_BYTES}
    run = bench.claimed(bench.create(given=large))
    after = bench.jobs.finish(run, Succeeded(large))
    assert after is not None
    for uri in (run.input_uri, after.result_uri):
        bench.blobs.delete(uri)
    for ask, code in ((bench.jobs.input, "input_not_kept"), (bench.jobs.result, "result_not_kept")):
        with pytest.raises(NotFound) as gone:
            ask(after)
        assert gone.value.code == code
