"""omni files: what batches read and write."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cli.answers import File, IdPage, Part, Upload, UsageReport
from cli.client import Answer, Client
from cli.connection import connected
from cli.errors import CliError
from cli.output import day, printable, show_table, shown_by
from cli.paging import page_query, paged, tell_of_more_ids
from cli.places import named_by_caller
from cli.usage import PATH as USAGE
from cli.usage import show_storage

PATH, UPLOADS = "/v1/files", "/v1/uploads"
PART_BYTES = 16 * 1024 * 1024
"""A larger file goes up in parts of this size: a Cloud Function takes no request above 32 MiB."""

Moved = Callable[[int], None]
"""Told how many more bytes have been moved."""


def _show_files(answer: Answer) -> None:
    page = answer.as_type(IdPage[File])
    rows = [
        (each.id, each.purpose, f"{each.bytes:,}", each.filename, day(each.expires_at) if each.expires_at else "-")
        for each in page.data
    ]
    show_table(("ID", "PURPOSE", "BYTES", "NAME", "KEPT UNTIL"), rows)
    tell_of_more_ids(page)


@click.group()
def command() -> None:
    """Uploads, lists, fetches and deletes files: what batches read and write.

    \b
    Example:
      omni files list
    """


@command.command("upload")
@click.argument("file", metavar="FILE")
@connected
def upload_(client: Client, *, file: str) -> None:
    """Uploads a file for a batch and prints its id.

    \b
    Example:
      omni files upload requests.jsonl
    """
    click.echo(upload(client, named_by_caller(file)))


@command.command("list")
@paged
@shown_by(_show_files)
@connected
def list_(client: Client, limit: int, after: str | None) -> Answer:
    """Lists your files, newest first.

    \b
    Example:
      omni files list
    """
    return client.get(PATH, page_query(limit, after, {}))


@command.command()
@click.argument("file_id", metavar="ID")
@click.option("--output", metavar="FILE", help="Write the content there. Default: standard output.")
@connected
def fetch(client: Client, *, file_id: str, output: str | None) -> None:
    """Fetches a file's content.

    \b
    Example:
      omni files fetch file-9f2c --output answers.jsonl
    """
    download(client, file_id, named_by_caller(output) if output else None)


@command.command()
@click.argument("file_id", metavar="ID")
@connected
def delete(client: Client, *, file_id: str) -> None:
    """Deletes a file and its content.

    \b
    Example:
      omni files delete file-9f2c
    """
    client.delete(f"{PATH}/{quote(file_id, safe='')}")
    click.echo("Deleted.", err=True)


@command.command()
@connected
def storage(client: Client) -> None:
    """Shows how many bytes your tenant's files take, and how many they may.

    \b
    Example:
      omni files storage
    """
    show_storage(client.get(USAGE).as_type(UsageReport).storage)


def upload(client: Client, path: Path) -> str:
    """The id of the file, once it is up; a large one goes in parts."""
    try:
        with path.open("rb") as content, _bar(path.name, path.stat().st_size) as moved:
            if path.stat().st_size <= PART_BYTES:
                answer = client.upload(PATH, {"purpose": "batch"}, "file", (path.name, content))
                moved(path.stat().st_size)
                return answer.as_type(File).id
            return _upload_in_parts(client, path, content, moved)
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}.") from None


def download(client: Client, file_id: str | None, place: Path | None) -> None:
    """Writes the content (none without an id) to a file, or to standard output."""
    with _opened(place) as output:
        if file_id is None:
            return
        with (
            client.download(f"{PATH}/{quote(file_id, safe='')}/content") as (size, parts),
            _bar(file_id, size) as moved,
        ):
            for part in parts:
                output.write(part)
                moved(len(part))


def _upload_in_parts(client: Client, path: Path, content: BinaryIO, moved: Moved) -> str:
    wanted = {
        "purpose": "batch",
        "filename": path.name,
        "bytes": path.stat().st_size,
        "mime_type": "application/jsonl",
    }
    place = f"{UPLOADS}/{client.post(UPLOADS, wanted).as_type(Upload).id}"
    part_ids = []
    while part := content.read(PART_BYTES):
        part_ids.append(client.upload(f"{place}/parts", {}, "data", ("part", part)).as_type(Part).id)
        moved(len(part))
    file = client.post(f"{place}/complete", {"part_ids": part_ids}).as_type(Upload).file
    if file is None:
        raise CliError("The upload was completed, but the answer names no file.")
    return file.id


@contextmanager
def _opened(place: Path | None) -> Iterator[BinaryIO]:
    if place is None:
        yield sys.stdout.buffer
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        return
    try:
        with place.open("wb") as file:
            yield cast(BinaryIO, file)
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}.") from None


@contextmanager
def _bar(name: str, size: int | None) -> Iterator[Moved]:
    """Shows how much has been moved, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(30), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(printable(name), total=size)
        yield lambda moved: progress.advance(bar, moved)
