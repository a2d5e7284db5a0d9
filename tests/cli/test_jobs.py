"""Jobs from submission to result; a job that does not succeed is a non-zero exit status."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import progress
from cli.answers import Job
from cli.client import Client
from cli.errors import NoPlatform
from cli.receiver import receiving
from tests.cli.conftest import Omni
from tests.cli.platform import MASTER, MODEL, Asked, Platform
from tests.cli.platform_hooks import Said, problem

FAILED = {"state": "failed", "error": {"code": "bad_input", "message": "The model refused.", "retryable": False}}
MESSAGES = {"messages": [{"role": "user", "content": "Hello"}]}


def test_submitting_prints_the_id_alone(omni: Omni, platform: Platform) -> None:
    result = omni("jobs", "submit", "--prompt", "Hello")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "job0\n", "")
    assert platform.asked[-1].body == {"task": "chat_completions", "input": MESSAGES, "model": MODEL}


def test_a_model_is_chosen_where_none_is_named(omni: Omni, platform: Platform) -> None:
    omni("jobs", "submit", "chat_completions", "--input", '{"messages": []}')
    assert platform.asked[-1].body == {"task": "chat_completions", "input": {"messages": []}, "model": MODEL}
    omni("jobs", "submit", "chat_completions", "--input", '{"messages": [], "model": "m"}')
    assert "model" not in platform.asked[-1].body
    omni("jobs", "submit", "chat_completions", "--input", '{"messages": []}', "--model", "n")
    assert platform.asked[-1].body["model"] == "n"


@pytest.mark.parametrize("source", ["text", "file", "pipe"])
def test_input_comes_from_the_line_a_file_or_a_pipe(
    omni: Omni, platform: Platform, tmp_path: Path, source: str
) -> None:
    text = json.dumps(MESSAGES)
    (tmp_path / "input.json").write_text(text)
    given = {"text": text, "file": "@input.json", "pipe": "-"}[source]
    omni("jobs", "submit", "any_task", "--input", given, stdin=text, OMNI_CALLED_FROM=str(tmp_path))
    assert platform.asked[-1].body == {"task": "any_task", "input": MESSAGES}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Give either --prompt, or a task and its --input."),
        (("--prompt", "a", "--input", "{}"), "Give either --prompt, or a task and its --input."),
        (("--input", "{}"), "--input needs a task"),
        (("other", "--prompt", "a"), "--prompt is for the task chat_completions"),
        (("any_task", "--input", "{"), "--input holds no JSON object"),
        (("any_task", "--input", "[]"), "--input holds no JSON object"),
        (("any_task", "--input", "@/nowhere"), "/nowhere: No such file or directory"),
    ],
)
def test_what_cannot_be_submitted_is_a_usage_error(
    omni: Omni, platform: Platform, arguments: tuple[str, ...], complaint: str
) -> None:
    result = omni("jobs", "submit", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert platform.jobs == {}


def test_watching_tells_each_state_and_ends_with_the_result(omni: Omni) -> None:
    result = omni("jobs", "submit", "--prompt", "Hello", "--watch")
    assert (result.exit_code, result.stdout) == (0, "Paris.\n")
    assert result.stderr.splitlines() == [
        "job0: queued (dispatched)",
        "job0: running, attempt 1 of 3",
        "job0: succeeded, attempt 1 of 3 in 2.5 s",
    ]


@pytest.mark.parametrize("extra", [(), ("--json",)], ids=["", "json"])
def test_a_failed_job_is_a_failed_command(omni: Omni, platform: Platform, extra: tuple[str, ...]) -> None:
    platform.ending = FAILED
    omni("jobs", "submit", "--prompt", "Hello")
    result = omni("jobs", "watch", "job0", *extra)
    assert result.exit_code == 1
    assert "The model refused." in (result.stdout if extra else result.stderr)


def test_a_result_that_is_no_conversation_is_json(omni: Omni, platform: Platform) -> None:
    platform.ending = {"state": "succeeded", "result": {"score": 0.5}}
    omni("jobs", "submit", "--prompt", "Hello")
    assert json.loads(omni("jobs", "watch", "job0").stdout) == {"score": 0.5}


def test_json_is_the_platforms_own_document(omni: Omni) -> None:
    omni("jobs", "submit", "--prompt", "Hello")
    for command in (("watch", "job0"), ("get", "job0")):
        assert json.loads(omni("jobs", *command, "--json").stdout)["state"] == "succeeded"
    assert json.loads(omni("jobs", "list", "--json").stdout)["data"][0]["id"] == "job0"


def test_a_dead_letter_is_retried_and_watched(omni: Omni, platform: Platform) -> None:
    omni("jobs", "submit", "--prompt", "Hello")
    omni("jobs", "cancel", "job0")
    assert omni("jobs", "retry", "job0").stderr == "job0: queued (dispatched)\n"
    assert json.loads(omni("jobs", "retry", "job0", "--json").stdout)["state"] == "queued"
    assert omni("jobs", "retry", "job0", "--watch").exit_code == 0
    assert omni("jobs", "retry", "nope").exit_code == 1
    omni("jobs", "list", "--state", "failed", "--error", "attempts_exhausted")
    assert platform.asked[-1].query == {"state": "failed", "error": "attempts_exhausted", "limit": "20"}


def test_jobs_are_a_table(omni: Omni, platform: Platform) -> None:
    omni("jobs", "submit", "--prompt", "Hello")
    lines = omni("jobs", "list", "--state", "queued").stdout.splitlines()
    assert lines[0].split() == ["ID", "STATE", "TOOK", "TASK", "CREATED"]
    assert lines[1].split()[:4] == ["job0", "queued", "-", "chat_completions"]
    assert platform.asked[-1].query["state"] == "queued"


def test_a_job_can_be_cancelled(omni: Omni) -> None:
    omni("jobs", "submit", "--prompt", "Hello")
    assert omni("jobs", "cancel", "job0").stderr == "job0: cancelled in 2.0 s\n"
    assert omni("jobs", "watch", "job0").exit_code == 1


def test_an_unknown_job_is_told(omni: Omni) -> None:
    result = omni("jobs", "get", "nope")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "There is no such job." in result.stderr


def test_watching_waits_out_a_rate_limit(platform: Platform) -> None:
    refusals = [problem(429, "Enough.", "rate_limit_exceeded", {"Retry-After": "7"})]
    final = {"id": "j", "task": "t", "state": "succeeded", "created_at": 0, "attempt": 1, "max_attempts": 3}

    def limited(_: Asked) -> Said:
        return refusals.pop() if refusals else Said(200, final)

    platform.instead["GET", "/api/v1/jobs/j"] = limited
    waits: list[float] = []
    with Client(platform.base_url, MASTER) as client:
        progress.follow(client, "/api/v1/jobs/j", lambda _: None, waits.append, kind=Job)
    assert waits == [7.0]


def test_watching_gives_a_restarting_platform_half_a_minute(platform: Platform) -> None:
    platform.__exit__()
    waits: list[float] = []
    with Client(platform.base_url, MASTER) as client, pytest.raises(NoPlatform):
        progress.follow(client, "/api/v1/jobs/j", lambda _: None, waits.append, kind=Job)
    assert sum(waits) == progress.PATIENCE_S


def events(*named: tuple[str, object]) -> Iterator[bytes]:
    for name, data in named:
        yield f"id: {name}1\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()


STATE = {"state": "queued", "substate": "dispatched", "attempt": 0, "max_attempts": 3, "queue_position": 3}
RUNNING = STATE | {"state": "running", "substate": None, "attempt": 1, "queue_position": None}


def test_watching_follows_the_jobs_events(omni: Omni, platform: Platform) -> None:
    omni("jobs", "submit", "--prompt", "Hello")
    end = platform.jobs["job0"] | platform.ending | {"finished_at": 1700000002.5}
    told = (("state", STATE), ("state", RUNNING), ("progress", {"fraction": 0.5, "message": "half"}), ("result", end))
    platform.instead["GET", "/api/v1/jobs/job0/events"] = lambda _: Said(200, events(*told))
    result = omni("jobs", "watch", "job0")
    assert (result.exit_code, result.stdout) == (0, "Paris.\n")
    assert "queued (dispatched), number 3 of the queue" in result.stderr
    assert "running, attempt 1 of 3, half" in result.stderr
    assert [asked.path for asked in platform.asked[-1:]] == ["/api/v1/jobs/job0/events"]


def test_a_stream_that_breaks_off_is_taken_up_where_it_ended(omni: Omni, platform: Platform) -> None:
    omni("jobs", "submit", "--prompt", "Hello")
    platform.instead["GET", "/api/v1/jobs/job0/events"] = lambda _: Said(200, events(("state", STATE)))
    assert omni("jobs", "watch", "job0").exit_code == 0
    ids = [asked.headers.get("last-event-id") for asked in platform.asked if asked.path.endswith("/events")]
    assert ids[:2] == [None, "state1"]


def test_waiting_holds_the_order_and_says_nothing_until_the_end(omni: Omni, platform: Platform) -> None:
    platform.hooks.signs_with = "whsec_" + "c2VjcmV0" * 5
    with receiving(()) as receiver:
        result = omni("jobs", "submit", "--prompt", "Hello", "--wait", "--webhook", receiver.url)
        receiver.messages.get(timeout=10)
    assert (result.exit_code, result.stdout) == (0, "Paris.\n")
    assert "running" not in result.stderr
    order = next(asked for asked in platform.asked if asked.method == "POST")
    assert order.headers["prefer"] == "wait=60"
    assert order.body["webhook"] == {"url": receiver.url}
