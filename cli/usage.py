"""omni usage: what was used, and what it cost."""

import click

from cli.answers import StorageUse, UsageReport, UsageSums
from cli.client import Answer, Client
from cli.connection import connected
from cli.output import show_table, shown_by

PATH = "/api/v1/usage"
GROUPS = ("day", "model", "key", "tenant")


def show_usage(answer: Answer) -> None:
    report = answer.as_type(UsageReport)
    columns = (report.group.upper(), "REQUESTS", "FAILED", "CACHED", "TOKENS IN", "TOKENS OUT", "USD")
    rows = [(each.key, *_cells(each)) for each in report.data]
    show_table(columns, [*rows, ("total", *_cells(report.total))])
    show_storage(report.storage)
    if report.total.unpriced_requests:
        click.echo(f"{report.total.unpriced_requests:,} requests had no price: what they cost is not known.", err=True)


def show_storage(storage: StorageUse) -> None:
    """Beside the table, so that programs that read it see the same columns."""
    limit = f"of {storage.limit_bytes:,} " if storage.limit_bytes else ""
    click.echo(f"Files: {storage.bytes:,} {limit}bytes.", err=True)


@click.command()
@click.option("--by", "group", type=click.Choice(GROUPS), default="day", show_default=True, help="What to sum up by.")
@click.option("--from", "first", metavar="DAY", help="The first day (UTC), as in 2026-11-01. Default: 30 days.")
@click.option("--to", "last", metavar="DAY", help="The last day. Default: today.")
@click.option("--tenant", help="Only this tenant's; another than yours needs the scope platform_admin.")
@shown_by(show_usage)
@connected
def command(client: Client, group: str, first: str | None, last: str | None, tenant: str | None) -> Answer:
    """Shows the usage and cost of your tenant; with the scope platform_admin, of every tenant.

    \b
    Examples:
      omni usage
      omni usage --by model --from 2026-11-01
    """
    given: dict[str, str | int | None] = {"group": group, "from": first, "to": last, "tenant": tenant}
    return client.get(PATH, {name: value for name, value in given.items() if value is not None})


def _cells(sums: UsageSums) -> tuple[str, ...]:
    return (
        f"{sums.requests:,}",
        f"{sums.failed:,}",
        f"{sums.answered_from_cache:,}",
        f"{sums.prompt_tokens:,}",
        f"{sums.completion_tokens:,}",
        f"{sums.cost_usd:,.6f}",
    )
