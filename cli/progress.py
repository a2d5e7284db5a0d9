"""Following a job until it is final."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.answers import Batch, Job
from cli.client import Answer, Client
from cli.errors import BrokenOff, CliError, NoPlatform, Refused
from cli.job_events import Follower
from cli.job_views import told

FIRST_PAUSE_S, SLOWER, LONGEST_PAUSE_S = 0.1, 1.3, 2.0
PATIENCE_S = 30.0
"""How long a platform that does not answer is waited for: it may be restarting, and its jobs survive that."""

Show = Callable[[Job], None]
Sleep = Callable[[float], None]
T = TypeVar("T", Job, Batch)


def follow_job(client: Client, path: str, show: Show, sleep: Sleep = time.sleep) -> Answer:
    """The job's end; `show` sees every state on the way. By the job's events as long as there are some."""
    return follow(client, path, show, sleep, kind=Job, told=partial(_told, Follower(client, path), show))


def nothing() -> None:
    """Where there are no events."""


def follow(
    client: Client,
    path: str,
    show: Callable[[T], None],
    sleep: Sleep = time.sleep,
    *,
    kind: type[T],
    told: Callable[[], Answer | None] = nothing,
) -> Answer:
    """Asks for a job or a batch, ever more slowly, until it is final; `show` sees every state on the way. `told` gives
    the end where that is known without asking."""
    pause_s = FIRST_PAUSE_S
    while True:
        if end := told():
            return end
        answer = _patiently(client, path, sleep)
        found = answer.as_type(kind)
        show(found)
        if found.is_final:
            return answer
        sleep(pause_s)
        pause_s = min(pause_s * SLOWER, LONGEST_PAUSE_S)


def _told(follower: Follower, show: Show) -> Answer | None:
    """The end, if the events lead there."""
    with suppress(CliError), follower.news() as news:
        for job in news:
            if isinstance(job, Answer):
                show(job.as_type(Job))
                return job
            show(job)
    return None


def _patiently(client: Client, path: str, sleep: Sleep) -> Answer:
    """GET that waits out rate limits and short absences."""
    absent_s = 0.0
    while True:
        try:
            return client.get(path)
        except (NoPlatform, BrokenOff):
            if absent_s >= PATIENCE_S:
                raise
            pause_s = 1.0
            absent_s += pause_s
        except Refused as refused:
            if refused.retry_after_s is None:
                raise
            pause_s = refused.retry_after_s
        sleep(pause_s)


@contextmanager
def shown() -> Iterator[Show]:
    """Shows a job on standard error: a moving line on a terminal, else one line for each change."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(20), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("asking", total=None)

        def show(job: Job) -> None:
            fraction = job.progress.fraction if job.progress else None
            total = None if fraction is None else 1.0
            progress.update(bar, description=told(job), total=total, completed=fraction or 0.0)

        yield show


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def __call__(self, job: Job) -> None:
        line = told(job)
        if line != self._last and not job.is_final:
            click.echo(f"{job.id}: {line}", err=True)
        self._last = line
