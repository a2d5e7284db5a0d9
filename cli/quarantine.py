"""omni quarantine: documents that schedules have set aside, because they failed on them again and again."""

from urllib.parse import quote

import click

from cli.answers import Page, QuarantinedDocument
from cli.client import Answer, Client
from cli.connection import connected
from cli.output import minute, printable, show_table, shown_by
from cli.paging import page_query, paged, tell_of_more

PATH = "/api/v1/quarantine"


def show_documents(answer: Answer) -> None:
    page = answer.as_type(Page[QuarantinedDocument])
    show_table(("ID", "SINCE", "COLLECTION", "DOCUMENT", "SCHEDULE", "REASON"), [_row(each) for each in page.data])
    tell_of_more(page)


def show_released(answer: Answer) -> None:
    released = answer.as_type(QuarantinedDocument)
    click.echo(f"{released.schedule} tries {printable(released.document)} again in its next round.")


@click.group()
def command() -> None:
    """Lists and releases documents on which a schedule failed again and again. Needs the scope platform_admin.

    \b
    Example:
      omni quarantine list
    """


@command.command("list")
@paged
@shown_by(show_documents)
@connected
def list_documents(client: Client, limit: int, after: str | None) -> Answer:
    """Lists the documents in quarantine, the oldest entry first.

    \b
    Example:
      omni quarantine list
    """
    return client.get(PATH, page_query(limit, after, {}))


@command.command()
@click.argument("mark_id", metavar="ID")
@shown_by(show_released)
@connected
def release(client: Client, mark_id: str) -> Answer:
    """Puts a document back: the next round tries it again.

    \b
    Example:
      omni quarantine release 5fd1c2a0e6b84c1d
    """
    return client.post(f"{PATH}/{quote(mark_id, safe='')}/release", {})


def _row(each: QuarantinedDocument) -> tuple[str, ...]:
    since = minute(each.quarantined_at) if each.quarantined_at else ""
    return (each.id, since, each.collection, printable(each.document), each.schedule, printable(each.reason))
