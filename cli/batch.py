"""omni batch: files of requests, answered when there is room."""

from pathlib import Path
from urllib.parse import quote

import click

from cli import files
from cli.answers import Batch
from cli.batch_views import counted, show_batch, show_batches
from cli.client import Answer, Client
from cli.connection import connected
from cli.errors import INTERRUPTED, CliError
from cli.output import as_json, show_json, shown_by
from cli.paging import page_query, paged
from cli.places import named_by_caller
from cli.progress import follow

PATH = "/v1/batches"
CHAT = "/v1/chat/completions"


@click.group()
def command() -> None:
    """Submits, watches, lists, cancels and fetches batches: files of requests that are answered within 24 hours.

    \b
    Example:
      omni batch submit requests.jsonl --watch --output answers.jsonl
    """


@command.command()
@click.argument("file", metavar="FILE")
@click.option("--endpoint", default=CHAT, show_default=True, metavar="PATH", help="Where all lines go.")
@click.option("--watch", "watching", is_flag=True, help="Wait for the end.")
@click.option("--output", metavar="FILE", help="With --watch: write the answers there.")
@click.option("--errors", metavar="FILE", help="With --watch: write the lines that failed there.")
@as_json
@connected
def submit(
    client: Client, *, file: str, endpoint: str, watching: bool, output: str | None, errors: str | None, as_json: bool
) -> None:
    """Uploads a file of requests (JSON Lines) and begins a batch; prints its id.

    \b
    Example:
      omni batch submit requests.jsonl
    """
    if (output or errors) and not watching:
        raise click.UsageError("--output and --errors need --watch; or use 'omni batch fetch' later.")
    file_id = files.upload(client, named_by_caller(file))
    wanted = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h"}
    answer = client.post(PATH, wanted)
    batch_id = answer.as_type(Batch).id
    if not watching:
        show_json(answer) if as_json else click.echo(batch_id)
        return
    _watch(client, batch_id, output, errors, as_json=as_json)


@command.command()
@click.argument("batch_id", metavar="ID")
@click.option("--output", metavar="FILE", help="Write the answers there in the end.")
@click.option("--errors", metavar="FILE", help="Write the lines that failed there in the end.")
@as_json
@connected
def watch(client: Client, *, batch_id: str, output: str | None, errors: str | None, as_json: bool) -> None:
    """Follows a batch to its end. Ctrl-C stops watching; the batch goes on.

    \b
    Example:
      omni batch watch batch_9f2c --output answers.jsonl
    """
    _watch(client, batch_id, output, errors, as_json=as_json)


@command.command("list")
@paged
@shown_by(show_batches)
@connected
def list_(client: Client, limit: int, after: str | None) -> Answer:
    """Lists your batches, newest first.

    \b
    Example:
      omni batch list
    """
    return client.get(PATH, page_query(limit, after, {}))


@command.command()
@click.argument("batch_id", metavar="ID")
@shown_by(show_batch)
@connected
def get(client: Client, batch_id: str) -> Answer:
    """Shows a batch: where it stands, what is wrong with its file, and its files once it has ended.

    \b
    Example:
      omni batch get batch_9f2c
    """
    return client.get(path(batch_id))


@command.command()
@click.argument("batch_id", metavar="ID")
@shown_by(show_batch)
@connected
def cancel(client: Client, batch_id: str) -> Answer:
    """Stops a batch. The lines that were answered by then can be fetched.

    \b
    Example:
      omni batch cancel batch_9f2c
    """
    return client.post(path(batch_id) + "/cancel", {})


@command.command()
@click.argument("batch_id", metavar="ID")
@click.option("--output", metavar="FILE", help="Write the answers there. Default: standard output.")
@click.option("--errors", metavar="FILE", help="Write the lines that failed there as well.")
@connected
def fetch(client: Client, *, batch_id: str, output: str | None, errors: str | None) -> None:
    """Fetches a batch's answers, and the lines that failed.

    \b
    Example:
      omni batch fetch batch_9f2c --output answers.jsonl --errors failed.jsonl
    """
    batch = client.get(path(batch_id)).as_type(Batch)
    if not batch.is_final:
        raise CliError(f"The batch is still {batch.status}. See 'omni batch watch {batch_id}'.")
    if batch.output_file_id is None and not output:
        click.echo("No line was answered.", err=True)
    _save(client, batch, output or "-", errors)


def path(batch_id: str) -> str:
    return f"{PATH}/{quote(batch_id, safe='')}"


def _watch(client: Client, batch_id: str, output: str | None, errors: str | None, *, as_json: bool) -> None:
    """Follows the batch, shows how it ended and saves its files; exit status 1 unless every line was answered."""
    try:
        with counted() as show:
            answer = follow(client, path(batch_id), show, kind=Batch)
    except KeyboardInterrupt:
        click.echo(f"No longer watching; the batch goes on. See 'omni batch watch {batch_id}'.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    batch = answer.as_type(Batch)
    (show_json if as_json else show_batch)(answer)
    _save(client, batch, output, errors)
    if batch.status != "completed" or batch.request_counts.failed:
        raise click.exceptions.Exit(1)


def _save(client: Client, batch: Batch, output: str | None, errors: str | None) -> None:
    for file_id, place in ((batch.output_file_id, output), (batch.error_file_id, errors)):
        if place and (file_id or place != "-"):
            files.download(client, file_id, _place(place))


def _place(text: str) -> Path | None:
    """Where to write; None: to standard output."""
    return None if text == "-" else named_by_caller(text)
