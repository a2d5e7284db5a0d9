"""How batches are shown. Where a batch stands goes to standard error: standard output is for its answers."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.answers import Batch, IdPage
from cli.client import Answer
from cli.output import minute, printable, show_table
from cli.paging import tell_of_more_ids

MOST_MISTAKES = 20


def show_batch(answer: Answer) -> None:
    batch = answer.as_type(Batch)
    click.echo(f"{batch.id}: {told(batch)}", err=True)
    mistakes = batch.errors.data if batch.errors else []
    for mistake in mistakes[:MOST_MISTAKES]:
        where = f"line {mistake.line}: " if mistake.line else ""
        click.echo(f"  {where}{printable(mistake.message or '')} ({mistake.code})", err=True)
    if len(mistakes) > MOST_MISTAKES:
        click.echo(f"  … and {len(mistakes) - MOST_MISTAKES} more", err=True)
    for name, file_id in (("answers", batch.output_file_id), ("errors", batch.error_file_id)):
        if file_id:
            click.echo(f"  {name}: {file_id}", err=True)


def show_batches(answer: Answer) -> None:
    page = answer.as_type(IdPage[Batch])
    rows = (
        (each.id, each.status, f"{each.request_counts.completed:,}/{each.request_counts.total:,}",
         f"{each.request_counts.failed:,}", minute(each.created_at))
        for each in page.data
    )  # fmt: skip
    show_table(("ID", "STATUS", "DONE", "FAILED", "CREATED"), rows)
    tell_of_more_ids(page)


def told(batch: Batch) -> str:
    """Where the batch stands, in a few words."""
    counts = batch.request_counts
    words = batch.status.replace("_", " ")
    if counts.total:
        words += f", {counts.completed:,} of {counts.total:,} lines"
    return words + (f", {counts.failed:,} failed" if counts.failed else "")


@contextmanager
def counted() -> Iterator[Callable[[Batch], None]]:
    """Shows a batch on standard error: a bar of its lines on a terminal, else one line for each change."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(30)),
        *(MofNCompleteColumn(), TimeElapsedColumn()),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("asking", total=None)

        def show(batch: Batch) -> None:
            counts = batch.request_counts
            failed = f", {counts.failed:,} failed" if counts.failed else ""
            progress.update(
                bar,
                description=batch.status.replace("_", " ") + failed,
                total=counts.total or None,
                completed=counts.completed + counts.failed,
            )

        yield show


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def __call__(self, batch: Batch) -> None:
        line = told(batch)
        if line != self._last and not batch.is_final:
            click.echo(f"{batch.id}: {line}", err=True)
        self._last = line
