"""omni jobs: work that outlives the connection it was asked over."""

import sys
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

import click
import msgspec

from cli.answers import Job
from cli.client import Answer, Client
from cli.connection import connected
from cli.errors import INTERRUPTED
from cli.job_views import show_cancelled, show_job, show_jobs
from cli.models import first_model
from cli.output import as_json, show_json, shown_by
from cli.paging import page_query, paged
from cli.places import named_by_caller
from cli.progress import follow_job, shown

PATH = "/api/v1/jobs"
WAIT_S = 60
"""How long the platform holds the answer to an order, at most."""
CHAT = "chat_completions"
MODEL_KINDS = {CHAT: "chat", "completions": "completion"}
"""What a task's model has to be able to do."""
PRIORITIES = ("low", "normal", "high")
STATES = ("queued", "running", "succeeded", "failed", "cancelled", "expired")


@click.group()
def command() -> None:
    """Submits, watches, lists, cancels and retries jobs: work that goes on when the terminal is closed.

    \b
    Example:
      omni jobs submit --prompt "Write a haiku about queues." --watch
    """


@command.command()
@click.argument("task", required=False)
@click.option("--input", "given", metavar="FILE|JSON|-", help="The task's input; '-' reads standard input.")
@click.option("--prompt", metavar="TEXT", help="Short for the task chat_completions with this one message.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer to --prompt, in tokens.")
@click.option("--model", metavar="ID", help="Model to ask. Default: the input's, or the first that fits the task.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="Which of your jobs go first.")
@click.option("--metadata", metavar="NAME=VALUE", multiple=True, help="A note that lists find it by; may be repeated.")
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(min=1), metavar="SECONDS", help="Longest run of an attempt."
)
@click.option("--attempts", "max_attempts", type=click.IntRange(1, 10), help="How often it is tried at most.")
@click.option("--webhook", metavar="URL", help="Where to tell of the job's end; see 'omni webhooks'.")
@click.option("--watch", "watching", is_flag=True, help="Follow the job to its end and print the result.")
@click.option("--wait", "waiting", is_flag=True, help="The same without a word until then.")
@as_json
@connected
def submit(
    client: Client,
    *,
    task: str | None,
    given: str | None,
    prompt: str | None,
    max_tokens: int | None,
    model: str | None,
    webhook: str | None,
    watching: bool,
    waiting: bool,
    as_json: bool,
    metadata: tuple[str, ...],
    **terms: str | int | None,
) -> None:
    """Submits a job and prints its id, or, with --watch or --wait, its result.

    \b
    Examples:
      omni jobs submit --prompt "Write a haiku about queues." --watch
      omni jobs submit chat_completions --input request.json --priority high --metadata order=42
    """
    if (prompt is None) == (given is None):
        raise click.UsageError("Give either --prompt, or a task and its --input.")
    if prompt is not None:
        task, wanted = _prompted(task, prompt, max_tokens)
    else:
        task, wanted = _given(task, given or "")
    given_terms = {name: value for name, value in terms.items() if value is not None} | _noted(metadata)
    order = _request(client, task, wanted, model) | given_terms | ({"webhook": {"url": webhook}} if webhook else {})
    answer = client.post(PATH, order, WAIT_S + 10, {"prefer": f"wait={WAIT_S}"} if waiting and not watching else None)
    if answer.as_type(Job).is_final:
        _show_end(answer, as_json=as_json)
    elif watching or waiting:
        _watch(client, answer.as_type(Job).id, as_json=as_json, quietly=not watching)
    elif as_json:
        show_json(answer)
    else:
        click.echo(answer.as_type(Job).id)


@command.command()
@click.argument("job_id", metavar="ID")
@as_json
@connected
def watch(client: Client, *, job_id: str, as_json: bool) -> None:
    """Follows a job to its end and prints the result. Ctrl-C stops watching; the job goes on.

    \b
    Example:
      omni jobs watch job_9f2c
    """
    _watch(client, job_id, as_json=as_json)


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--error", metavar="CODE", help="Only jobs whose last error has this code.")
@paged
@shown_by(show_jobs)
@connected
def list_(client: Client, state: str | None, error: str | None, limit: int, after: str | None) -> Answer:
    """Lists your jobs, newest first.

    \b
    Examples:
      omni jobs list --state running
      omni jobs list --state failed --error attempts_exhausted
    """
    return client.get(PATH, page_query(limit, after, {"state": state, "error": error}))


@command.command()
@click.argument("job_id", metavar="ID")
@shown_by(show_job)
@connected
def get(client: Client, job_id: str) -> Answer:
    """Shows a job: where it stands, and its result once there is one.

    \b
    Example:
      omni jobs get job_9f2c --json
    """
    return client.get(path(job_id))


@command.command()
@click.argument("job_id", metavar="ID")
@shown_by(show_cancelled)
@connected
def cancel(client: Client, job_id: str) -> Answer:
    """Cancels a job. A queued one ends at once, a running one within seconds.

    \b
    Example:
      omni jobs cancel job_9f2c
    """
    return client.post(path(job_id) + "/cancel", {})


@command.command()
@click.argument("job_id", metavar="ID")
@click.option("--watch", "watching", is_flag=True, help="Wait for the end and print the result.")
@as_json
@connected
def retry(client: Client, *, job_id: str, watching: bool, as_json: bool) -> None:
    """Runs a job again that failed or expired, with all its attempts.

    \b
    Example:
      omni jobs retry job_9f2c --watch
    """
    answer = client.post(path(job_id) + "/retry", {})
    if watching:
        _watch(client, job_id, as_json=as_json)
    else:
        (show_json if as_json else show_job)(answer)


def path(job_id: str) -> str:
    return f"{PATH}/{quote(job_id, safe='')}"


def _prompted(task: str | None, prompt: str, max_tokens: int | None) -> tuple[str, dict[str, Any]]:
    """The task and input that --prompt stands for."""
    if task not in {None, CHAT}:
        raise click.UsageError(f"--prompt is for the task {CHAT}, not for '{task}'.")
    messages = {"messages": [{"role": "user", "content": prompt}]}
    return CHAT, messages | ({"max_tokens": max_tokens} if max_tokens else {})


def _given(task: str | None, given: str) -> tuple[str, dict[str, Any]]:
    """The task and input of the command line."""
    if task is None:
        raise click.UsageError(f"--input needs a task, for example {CHAT}.")
    return task, _read(given)


def _request(client: Client, task: str, wanted: dict[str, Any], model: str | None) -> dict[str, Any]:
    """The body that asks for the job. A model is chosen only when nobody has named one and the task needs one."""
    if model is None and "model" not in wanted and task in MODEL_KINDS:
        model = first_model(client, MODEL_KINDS[task])
    return {"task": task, "input": wanted} | ({"model": model} if model else {})


def _noted(metadata: tuple[str, ...]) -> dict[str, Any]:
    """The pairs of --metadata as the request has them."""
    if without := next((each for each in metadata if "=" not in each), None):
        raise click.UsageError(f"--metadata '{without}' needs a value, as in order=42.")
    return {"metadata": dict(each.split("=", 1) for each in metadata)} if metadata else {}


def _read(given: str) -> dict[str, Any]:
    """The JSON object in an option: the text itself, a file (also as `@file`), or `-` for standard input."""
    try:
        if given == "-":
            text = sys.stdin.buffer.read()
        elif given.lstrip().startswith(("{", "[")):
            text = given.encode(errors="replace")
        else:
            text = named_by_caller(given.removeprefix("@")).read_bytes()
        return msgspec.json.decode(text, type=dict[str, Any])
    except OSError as error:
        raise click.UsageError(f"--input: {error.filename}: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--input holds no JSON object: {error}.") from None


def _watch(client: Client, job_id: str, *, as_json: bool, quietly: bool = False) -> None:
    """Follows the job and shows how it ended."""
    try:
        with nullcontext(_in_silence) if quietly else shown() as show:
            answer = follow_job(client, path(job_id), show)
    except KeyboardInterrupt:
        click.echo(f"No longer watching; the job goes on. See 'omni jobs watch {job_id}'.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    _show_end(answer, as_json=as_json)


def _in_silence(_job: Job) -> None:
    """Shows nothing."""


def _show_end(answer: Answer, *, as_json: bool) -> None:
    """Exit status 1 unless the job succeeded."""
    (show_json if as_json else show_job)(answer)
    if answer.as_type(Job).state != "succeeded":
        raise click.exceptions.Exit(1)
