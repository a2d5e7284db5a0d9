"""How jobs are shown. Where a job stands goes to standard error: standard output is for its result."""

from typing import Any

import click
import msgspec

from cli.answers import Completion, Job, JobNews, Page
from cli.client import Answer
from cli.output import minute, printable, show_table
from cli.paging import tell_of_more


def show_job(answer: Answer) -> None:
    """Where the job stands, and its result once there is one."""
    job = answer.as_type(Job)
    took = f" in {_took(job)}" if job.finished_at else ""
    click.echo(f"{job.id}: {told(job)}{took}", err=True)
    if job.error:
        retry = " (may be tried again)" if job.error.retryable else ""
        click.echo(f"{job.error.code}: {printable(job.error.message)}{retry}", err=True)
    if job.result is not None:
        click.echo(result_text(job.result))


def show_cancelled(answer: Answer) -> None:
    show_job(answer)
    if not answer.as_type(Job).is_final:
        click.echo("It was asked to stop and ends within seconds.", err=True)


def show_jobs(answer: Answer) -> None:
    page = answer.as_type(Page[Job])
    show_table(("ID", "STATE", "TOOK", "TASK", "CREATED"), [_row(job) for job in page.data])
    tell_of_more(page)


def told(job: Job) -> str:
    """Where the job stands, in a few words."""
    words = job.state if job.is_final or not job.substate else f"{job.state} ({job.substate})"
    if isinstance(job, JobNews) and job.queue_position:
        words += f", number {job.queue_position} of the queue"
    if job.attempt:
        words += f", attempt {job.attempt} of {job.max_attempts}"
    if job.progress and job.progress.message and not job.is_final:
        words += f", {printable(job.progress.message)}"
    return words


def result_text(result: Any) -> str:
    """A conversation's answer as its text, any other result as JSON."""
    try:
        choices = msgspec.convert(result, Completion).choices
    except msgspec.ValidationError:
        choices = []
    if choices and choices[0].message.content is not None:
        return printable(choices[0].message.content)
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode()


def _row(job: Job) -> tuple[str, ...]:
    return job.id, job.state, _took(job), job.task, minute(job.created_at)


def _took(job: Job) -> str:
    return f"{job.finished_at - job.created_at:,.1f} s" if job.finished_at else "-"
