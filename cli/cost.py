"""omni cost."""

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from deploy.cost import Setup

SECRETS = 4
"""API keys, signing key, pepper, webhook key."""


@click.command()
@click.option(
    "--requests-per-day",
    type=click.IntRange(0, 10**9),
    multiple=True,
    metavar="N",
    help="Inference requests. Repeat it for several columns. Default: 0, 10,000 and 1,000,000.",
)
@click.option(
    "--tokens", type=click.IntRange(1, 10**6), default=300, show_default=True, help="Tokens that a request generates."
)
@click.option(
    "--jobs-per-day",
    type=click.IntRange(0, 10**9),
    default=0,
    show_default=True,
    help="Jobs in addition to the requests.",
)
@click.option(
    "--job-seconds",
    type=click.FloatRange(0),
    default=0,
    help="Seconds of a worker that all jobs of a day take together.",
)
@click.option(
    "--tokens-per-second", type=click.FloatRange(0.1), default=1000.0, show_default=True,
    help="Throughput of one worker over all callers. Measure yours with 'omni bench worker'.",
)  # fmt: skip
@click.option("--env", "environment", type=click.Choice(["dev", "prod"]), default="dev", show_default=True)
def command(
    requests_per_day: tuple[int, ...],
    tokens: int,
    jobs_per_day: int,
    job_seconds: float,
    tokens_per_second: float,
    environment: str,
) -> None:
    """Estimates the monthly bill, line by line, from unit prices and counted operations.

    \b
    Example:
      omni cost --requests-per-day 10000 --tokens 300 --jobs-per-day 500 --job-seconds 1200
    """
    from deploy import cost

    prices, operations = cost.read("prices.toml"), cost.read("operations.toml")
    columns = requests_per_day or (0, 10_000, 1_000_000)
    bills = [
        cost.bill(
            cost.Load(number, tokens, job_seconds, jobs_per_day, tokens_per_second, stream_tokens_per_second=30),
            setup(environment),
            prices,
            operations,
        )
        for number in columns
    ]
    table = Table("A MONTH, IN USD", *(f"{number:,} A DAY" for number in columns))
    for lines in zip(*bills, strict=True):
        table.add_row(lines[0].name, *(f"{line.usd:,.2f}" for line in lines))
    table.add_section()
    table.add_row("Together", *(f"{sum(line.usd for line in lines):,.2f}" for lines in bills))
    Console(highlight=False).print(table)
    click.echo(
        f"Unit prices of {prices['date']}, without free allowances, network and logs. A worker of "
        f"{tokens_per_second:g} tokens/s is assumed; callers come at random, day and night."
    )
    if unread := cost.unchecked(prices, bills[0]):
        click.echo(f"From memory, checked against no list: the price of {', '.join(unread)}.")


def setup(environment: str) -> "Setup":
    """What terraform/envs/ asks for, as far as it is paid for by the hour."""
    from deploy.cost import Setup
    from shared import manifest

    schedules = sum(route.kind == "schedule" for route in manifest.load())
    if environment == "dev":
        return Setup(schedules, SECRETS)
    return Setup(schedules, SECRETS + 1, gateway_min_instances=1, redis="highly_available")
