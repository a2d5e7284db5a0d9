"""Jobs over HTTP: what is refused before it is queued, and how a job looks to its owner and to nobody else."""

from pathlib import Path
from typing import Any

import pytest

from shared.core.jobs import Failed, Job, JobError, Succeeded
from shared.core.keys import SYSTEM, Caller, Scope, Tier
from shared.jobs.jobs import Jobs
from shared.web.schemas.jobs import JobList, JobView
from shared.web.schemas.schedules import ScheduleReport
from tests.routes.conftest import ACME, ADMIN, Routes, problem

PATH = "/internal/api/v1/jobs"
MODEL = "smollm2-135m-instruct"
INPUT = {"messages": [{"role": "user", "content": "What is the sea?"}]}
WANTED = {"task": "chat_completions", "model": MODEL, "input": INPUT}
OTHER = Caller("k-other", "other", Tier.PREMIUM, frozenset({Scope.JOBS}), 1000)


def created(routes: Routes, caller: Caller = ACME, **changes: Any) -> dict[str, Any]:
    response = routes.call("POST", PATH, caller, json=WANTED | changes)
    assert response.status_code == 202, response.get_json()
    view: dict[str, Any] = response.get_json()
    return view


def jobs(routes: Routes) -> Jobs:
    ports = routes.ports
    return Jobs(ports.store, ports.queue, ports.blobs, ports.clock, routes.settings)


def claimed(routes: Routes, job_id: str) -> Job:
    run = jobs(routes).claim(job_id, 1, "w")
    assert run is not None
    return run


def listed(routes: Routes, query: str = "") -> list[str]:
    response = routes.call("GET", f"{PATH}{query}", ACME)
    return [job["id"] for job in JobList.model_validate(response.get_json()).model_dump()["data"]]


def test_202_tells_where_to_look(routes: Routes) -> None:
    response = routes.call("POST", PATH, ACME, json=WANTED | {"metadata": {"order": "42"}, "priority": "high"})
    view = response.get_json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1/jobs/{view['id']}"
    JobView.model_validate(view)
    assert (view["state"], view["substate"], view["attempt"]) == ("queued", "pending_dispatch", 0)
    assert (view["metadata"], view["priority"], view["timeout_s"]) == ({"order": "42"}, "high", 1500.0)


def test_202_the_model_may_stand_in_either_place(routes: Routes) -> None:
    both = created(routes, input=INPUT | {"model": MODEL})
    inside = routes.call("POST", PATH, ACME, json={"task": "chat_completions", "input": INPUT | {"model": MODEL}})
    assert both["model"] == inside.get_json()["model"] == MODEL


def test_202_the_worker_gets_the_input_as_it_was_sent_with_the_model(routes: Routes) -> None:
    view = created(routes, input=INPUT | {"top_k": 5, "max_tokens": 3})
    run = claimed(routes, view["id"])
    assert jobs(routes).input(run) == INPUT | {"top_k": 5, "max_tokens": 3, "model": MODEL}
    assert (run.tenant, run.key_id) == ("acme", "k-acme")
    assert run.trace_id.startswith("req_")


def test_202_for_a_text_completion(routes: Routes) -> None:
    assert created(routes, task="completions", input={"prompt": "The sea is"})["task"] == "completions"


def test_202_for_a_large_input_which_comes_back_whole(routes: Routes) -> None:
    given = {"messages": [{"role": "user", "content": "x" * 900_000}]}
    view = created(routes, input=given)
    assert jobs(routes).input(claimed(routes, view["id"])) == given | {"model": MODEL}


def test_200_shows_the_job_until_its_result_is_there(routes: Routes) -> None:
    job_id = created(routes)["id"]
    run = claimed(routes, job_id)
    assert routes.call("GET", f"{PATH}/{job_id}", ACME).get_json()["state"] == "running"
    jobs(routes).finish(run, Succeeded({"answer": 42}, usage={"total_tokens": 3}))
    view = routes.call("GET", f"{PATH}/{job_id}", ACME).get_json()
    JobView.model_validate(view)
    assert (view["state"], view["result"]) == ("succeeded", {"answer": 42})
    assert view["usage"] == {"total_tokens": 3, "cost_usd": 0}
    assert view["created_at"] <= view["started_at"] <= view["finished_at"]


def test_200_shows_a_large_result(routes: Routes) -> None:
    job_id = created(routes)["id"]
    jobs(routes).finish(claimed(routes, job_id), Succeeded({"text": "x" * 200_000}))
    assert routes.call("GET", f"{PATH}/{job_id}", ACME).get_json()["result"] == {"text": "x" * 200_000}


def test_200_shows_why_a_job_failed(routes: Routes) -> None:
    job_id = created(routes)["id"]
    jobs(routes).finish(claimed(routes, job_id), Failed(JobError("timeout", "Too long.", retryable=False)))
    view = routes.call("GET", f"{PATH}/{job_id}", ACME).get_json()
    assert (view["state"], view["result"]) == ("failed", None)
    shown = {"code": "timeout", "message": "Too long.", "retryable": False, "status": 500, "param": None}
    assert view["error"] == shown


def test_202_a_dead_letter_runs_again(routes: Routes) -> None:
    job_id, other = created(routes, max_attempts=1)["id"], created(routes)["id"]
    jobs(routes).finish(claimed(routes, job_id), Failed(JobError("upstream_failed", "Away.", retryable=True)))
    jobs(routes).finish(claimed(routes, other), Failed(JobError("timeout", "Too long.", retryable=False)))
    assert listed(routes, "?state=failed&error=attempts_exhausted") == [job_id]
    response = routes.call("POST", f"{PATH}/{job_id}/retry", ACME)
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1/jobs/{job_id}"
    view = response.get_json()
    JobView.model_validate(view)
    assert (view["state"], view["attempt"], view["error"]) == ("queued", 0, None)


def test_404_and_409_what_cannot_be_retried(routes: Routes) -> None:
    job_id = created(routes)["id"]
    assert problem(routes.call("POST", f"{PATH}/{job_id}/retry", ACME))[:2] == (409, "job_not_failed")
    assert problem(routes.call("POST", f"{PATH}/{job_id}/retry", OTHER))[:2] == (404, "job_not_found")
    assert problem(routes.call("POST", f"{PATH}/job_none/retry", ACME))[:2] == (404, "job_not_found")


def test_202_a_tenants_many_jobs_wait_for_capacity(routes: Routes) -> None:
    substates = [created(routes)["substate"] for _ in range(13)]
    assert substates == ["pending_dispatch"] * 11 + ["waiting_capacity"] * 2


def test_200_a_list_is_newest_first_and_narrowed(routes: Routes) -> None:
    first, second = created(routes)["id"], created(routes, metadata={"order": "4 2"})["id"]
    third = created(routes, task="completions", input={"prompt": "a"})["id"]
    created(routes, caller=OTHER)
    claimed(routes, first)
    assert listed(routes) == [third, second, first]
    assert listed(routes, "?state=running") == [first]
    assert listed(routes, "?task=completions") == [third]
    assert listed(routes, "?metadata[order]=4%202") == [second]
    assert listed(routes, "?metadata[order]=4%202&state=running") == []


def test_200_a_list_comes_a_page_at_a_time(routes: Routes) -> None:
    made = [created(routes)["id"] for _ in range(5)]
    seen, after = [], ""
    while True:
        page = routes.call("GET", f"{PATH}?limit=2&after={after}", ACME).get_json()
        seen += [job["id"] for job in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        after = page["next_cursor"]
    assert seen == made[::-1]


def test_200_a_queued_job_is_cancelled_at_once_and_a_running_one_is_asked(routes: Routes) -> None:
    waiting, running = created(routes)["id"], created(routes)["id"]
    claimed(routes, running)
    view = routes.call("POST", f"{PATH}/{waiting}/cancel", ACME).get_json()
    JobView.model_validate(view)
    assert view["state"] == "cancelled"
    view = routes.call("POST", f"{PATH}/{running}/cancel", ACME).get_json()
    assert (view["state"], view["cancel_requested"]) == ("running", True)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"task": "jobs_create"}, "task"),
        ({"task": "no_such"}, "task"),
        ({"task": 5}, "task"),
        ({"input": "text"}, "input"),
        ({"input": {}}, "input.messages"),
        ({"input": {"messages": []}}, "input.messages"),
        ({"input": {"messages": [{"role": "user"}]}}, "input.messages.0.content"),
        ({"input": INPUT | {"temperature": 3}}, "input.temperature"),
        ({"input": INPUT | {"stream": True}}, "input.stream"),
        ({"model": None}, "input.model"),
        ({"input": INPUT | {"model": "another"}}, "model"),
        ({"input": INPUT | {"model": 5}}, "model"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 1501}, "timeout_s"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 11}, "max_attempts"),
        ({"max_attempts": 2.5}, "max_attempts"),
        ({"priority": "urgent"}, "priority"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": 5}}, "metadata.a"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a"),
        ({"webhook": "https://example.org"}, "webhook"),
    ],
)
def test_400_names_the_field_and_queues_nothing(routes: Routes, change: dict[str, Any], param: str) -> None:
    status, _, named = problem(routes.call("POST", PATH, ACME, json=WANTED | change))
    assert (status, named) == (400, param)
    assert listed(routes) == []


def test_400_for_a_model_that_the_worker_does_not_serve(tmp_path: Path) -> None:
    models_file = tmp_path / "models.toml"
    models_file.write_text('[[model]]\nid = "elsewhere"\nupstreams = [{ url = "https://example.org/v1" }]\n')
    routes = Routes(tmp_path, internal=True, models_file=models_file)
    assert problem(routes.call("POST", PATH, ACME, json=WANTED | {"model": "elsewhere"}))[::2] == (400, "model")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
def test_400_for_a_body_that_is_no_job(routes: Routes, body: bytes) -> None:
    assert problem(routes.call("POST", PATH, ACME, data=body))[0] == 400


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("after=nonsense", "after"),
        ("state=lost", "state"),
        ("status=failed", "status"),
    ],
)
def test_400_for_a_list_that_cannot_be_given(routes: Routes, query: str, param: str) -> None:
    assert problem(routes.call("GET", f"{PATH}?{query}", ACME))[::2] == (400, param)


def test_403_for_a_key_without_the_scope(routes: Routes) -> None:
    caller = Caller("k", "acme", Tier.FREE, frozenset({Scope.INFERENCE}), 10)
    assert problem(routes.call("POST", PATH, caller, json=WANTED))[0] == 403


def test_404_for_a_model_that_does_not_exist(routes: Routes) -> None:
    assert problem(routes.call("POST", PATH, ACME, json=WANTED | {"model": "gpt-none"})) == (
        404,
        "model_not_found",
        "model",
    )


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("POST", "/cancel")])
def test_404_for_another_tenants_job_as_for_none(routes: Routes, method: str, suffix: str) -> None:
    job_id = created(routes)["id"]
    for asked in (job_id, "job_000000000000000000000000", "x"):
        assert problem(routes.call(method, f"{PATH}/{asked}{suffix}", OTHER))[:2] == (404, "job_not_found")


def test_409_for_a_job_that_has_ended(routes: Routes) -> None:
    job_id = created(routes)["id"]
    jobs(routes).finish(claimed(routes, job_id), Succeeded({}))
    assert problem(routes.call("POST", f"{PATH}/{job_id}/cancel", ACME))[:2] == (409, "job_already_ended")


def test_413_for_an_input_of_more_than_1_mib(routes: Routes) -> None:
    given = {"messages": [{"role": "user", "content": "x" * 1024 * 1024}]}
    assert problem(routes.call("POST", PATH, ACME, json=WANTED | {"input": given}))[::2] == (413, "input")


@pytest.mark.parametrize("name", ["jobs-sweep", "jobs-reap"])
def test_200_a_schedule_reports_what_it_did(routes: Routes, name: str) -> None:
    created(routes)
    response = routes.call("POST", f"/internal/schedules/{name}", SYSTEM)
    assert response.status_code == 200
    assert ScheduleReport.model_validate(response.get_json()).complete


@pytest.mark.parametrize("name", ["jobs-sweep", "jobs-reap"])
def test_401_for_a_key_that_calls_a_schedule(routes: Routes, name: str) -> None:
    assert problem(routes.call("POST", f"/internal/schedules/{name}", ADMIN))[0] == 401


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs?stat=queued", "/api/v1/keys?tenan=a", "/v1/batches?state=x", "/v1/files?porpose=x"]
)
def test_400_names_a_query_parameter_that_a_list_does_not_know(routes: Routes, path: str) -> None:
    """Ignored, it would show what was not asked for."""
    caller = Caller("k", "acme", Tier.PREMIUM, frozenset(Scope), 0)
    status, _, param = problem(routes.call("GET", path, caller))
    assert (status, param) == (400, path.partition("?")[2].partition("=")[0])
