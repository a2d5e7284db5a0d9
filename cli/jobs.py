"""omni jobs: work that outlives the connection it was asked over."""

import sys
from typing import Any
from urllib.parse import quote

import click
import msgspec

from cli.answers import Job
from cli.client import Answer, Client
from cli.connection import connected
from cli.errors import INTERRUPTED
from cli.job_views import show_cancelled, show_job, show_jobs
from cli.models import first_chat_model
from cli.output import as_json, show_json, shown_by
from cli.paging import page_query, paged
from cli.places import named_by_caller
from cli.progress import follow, shown

PATH = "/api/v1/jobs"
CHAT = "chat_completions"
STATES = ("queued", "running", "succeeded", "failed", "cancelled", "expired")


@click.group()
def command() -> None:
    """Submits, watches, lists and cancels jobs: work that goes on when the terminal is closed.

    \b
    Example:
      omni jobs submit --prompt "Write a haiku about queues." --watch
    """


@command.command()
@click.argument("task", required=False)
@click.option("--input", "given", metavar="JSON|@FILE|-", help="The task's input; '-' reads standard input.")
@click.option("--prompt", metavar="TEXT", help="Short for the task chat_completions with this one message.")
@click.option("--model", metavar="ID", help="Model for --prompt. Default: the first of the catalogue that chats.")
@click.option("--watch", "watching", is_flag=True, help="Wait for the end and print the result.")
@as_json
@connected
def submit(
    client: Client,
    *,
    task: str | None,
    given: str | None,
    prompt: str | None,
    model: str | None,
    watching: bool,
    as_json: bool,
) -> None:
    """Submits a job and prints its id, or, with --watch, its result.

    \b
    Examples:
      omni jobs submit --prompt "Write a haiku about queues." --watch
      omni jobs submit chat_completions --input @request.json
    """
    if (prompt is None) == (given is None):
        raise click.UsageError("Give either --prompt, or a task and its --input.")
    body = _job(task, _read(given), model) if given is not None else _chat_job(client, task, prompt or "", model)
    answer = client.post(PATH, body)
    if watching:
        _watch(client, answer.as_type(Job).id, as_json=as_json)
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
@paged
@shown_by(show_jobs)
@connected
def list_(client: Client, state: str | None, limit: int, after: str | None) -> Answer:
    """Lists your jobs, newest first.

    \b
    Example:
      omni jobs list --state failed
    """
    return client.get(PATH, page_query(limit, after, {"state": state}))


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


def path(job_id: str) -> str:
    return f"{PATH}/{quote(job_id, safe='')}"


def _chat_job(client: Client, task: str | None, prompt: str, model: str | None) -> dict[str, Any]:
    if task not in {None, CHAT}:
        raise click.UsageError(f"--prompt is for the task {CHAT}, not for '{task}'.")
    messages = [{"role": "user", "content": prompt}]
    return _job(CHAT, {"messages": messages}, model or first_chat_model(client))


def _job(task: str | None, given: Any, model: str | None) -> dict[str, Any]:
    if task is None:
        raise click.UsageError(f"--input needs a task, for example {CHAT}.")
    body = {"task": task, "input": given}
    return body | {"model": model} if model else body


def _read(given: str) -> Any:
    """The JSON in an option: the text itself, `@file`, or `-` for standard input."""
    try:
        if given == "-":
            return msgspec.json.decode(sys.stdin.buffer.read())
        return msgspec.json.decode(named_by_caller(given[1:]).read_bytes() if given.startswith("@") else given)
    except OSError as error:
        raise click.UsageError(f"--input: {error.filename}: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--input holds no JSON: {error}.") from None


def _watch(client: Client, job_id: str, *, as_json: bool) -> None:
    """Follows the job and shows how it ended; exit status 1 unless it succeeded."""
    try:
        with shown() as show:
            answer = follow(client, path(job_id), show)
    except KeyboardInterrupt:
        click.echo(f"No longer watching; the job goes on. See 'omni jobs watch {job_id}'.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    (show_json if as_json else show_job)(answer)
    if answer.as_type(Job).state != "succeeded":
        raise click.exceptions.Exit(1)
