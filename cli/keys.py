"""omni keys: managed API keys."""

from urllib.parse import quote

import click

from cli.answers import Key, NewKey, Page
from cli.client import Answer, Client
from cli.connection import connected
from cli.output import day, show_table, shown_by
from cli.paging import page_query, paged, tell_of_more

PATH = "/api/v1/keys"
TIERS = ("free", "basic", "premium", "master")
SCOPES = ("inference", "jobs", "admin", "platform_admin")
COLUMNS = ("ID", "NAME", "TENANT", "TIER", "PER MIN", "BUDGET", "SCOPES", "CREATED", "STATE")
LONGEST_OVERLAP_S = 30 * 24 * 3600


def show_new(answer: Answer) -> None:
    key = answer.as_type(NewKey)
    limit = f"{_rate(key)} requests a minute" if key.requests_per_minute else "no limit"
    click.echo(
        f"Key '{key.name}' ({key.id}): tenant {key.tenant}, tier {key.tier}, {limit}, budget {_budget(key)}, "
        f"{', '.join(key.scopes)}.\n"
        "Keep its secret now. It is not shown again:",
        err=True,
    )
    click.echo(key.key)


def show_keys(answer: Answer) -> None:
    page = answer.as_type(Page[Key])
    show_table(COLUMNS, [_row(key) for key in page.data])
    tell_of_more(page)


def show_key(answer: Answer) -> None:
    key = answer.as_type(Key)
    show_table(COLUMNS, [_row(key)])


def show_revoked(answer: Answer) -> None:
    key = answer.as_type(Key)
    click.echo(f"The key '{key.name}' ({key.id}) is revoked.")


@click.group()
def command() -> None:
    """Creates, lists, changes, rotates and revokes API keys.

    \b
    Example:
      omni keys create laptop --tier basic
    """


@command.command()
@click.argument("name")
@click.option(
    "--tenant",
    help="Tenant that owns the key's usage and jobs. Default: yours; another one needs the scope platform_admin.",
)
@click.option("--tier", type=click.Choice(TIERS), help="Tier that sets the key's limits.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="What the key may do. Repeat it for several. Default: inference and jobs.",
)
@click.option("--requests-per-minute", type=click.IntRange(min=0), help="Replaces the tier's limit. 0: no limit.")
@click.option("--daily-usd", type=click.FloatRange(min=0), help="Budget for each day (UTC), in US dollars.")
@click.option("--monthly-usd", type=click.FloatRange(min=0), help="Budget for each month (UTC), in US dollars.")
@shown_by(show_new)
@connected
def create(
    client: Client,
    name: str,
    tenant: str | None,
    tier: str | None,
    scopes: tuple[str, ...],
    requests_per_minute: int | None,
    daily_usd: float | None,
    monthly_usd: float | None,
) -> Answer:
    """Creates a key called NAME and prints its secret once. Standard output holds the secret and nothing else.

    \b
    Examples:
      omni keys create laptop
      omni keys create intern --daily-usd 0.50 --monthly-usd 10
      export OMNI_API_KEY=$(omni keys create ci --requests-per-minute 60)
    """
    wanted = {
        "name": name,
        "tenant": tenant,
        "tier": tier,
        "scopes": list(scopes) or None,
        "requests_per_minute": requests_per_minute,
        "budget": None if daily_usd is None and monthly_usd is None else _given_budget(daily_usd, monthly_usd),
    }
    return client.post(PATH, {field: value for field, value in wanted.items() if value is not None})


@command.command("list")
@click.option("--tenant", help="Only this tenant's keys.")
@paged
@shown_by(show_keys)
@connected
def list_(client: Client, tenant: str | None, limit: int, after: str | None) -> Answer:
    """Lists the managed keys, newest first, without their secrets.

    \b
    Example:
      omni keys list --tenant acme
    """
    return client.get(PATH, page_query(limit, after, {"tenant": tenant}))


@command.command()
@click.argument("key_id", metavar="ID")
@shown_by(show_key)
@connected
def get(client: Client, key_id: str) -> Answer:
    """Shows a key, without its secret.

    \b
    Example:
      omni keys get 4fGx0TqLw2Zb --json
    """
    return client.get(_path(key_id))


@command.command()
@click.argument("key_id", metavar="ID")
@click.option("--name", help="What it is called.")
@click.option("--tier", type=click.Choice(TIERS), help="Tier that sets the key's limits.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="Replaces all scopes of the key. Repeat it for several.",
)
@click.option("--requests-per-minute", type=click.IntRange(min=0), help="Replaces the tier's limit. 0: no limit.")
@shown_by(show_key)
@connected
def update(
    client: Client,
    key_id: str,
    name: str | None,
    tier: str | None,
    scopes: tuple[str, ...],
    requests_per_minute: int | None,
) -> Answer:
    """Changes the given fields of a key and keeps its secret. Takes effect everywhere within 5 s.

    \b
    Example:
      omni keys update 4fGx0TqLw2Zb --tier premium
    """
    wanted = {
        "name": name,
        "tier": tier,
        "scopes": list(scopes) or None,
        "requests_per_minute": requests_per_minute,
    }
    changes = {field: value for field, value in wanted.items() if value is not None}
    if not changes:
        raise click.UsageError("There is nothing to change: name an option.")
    return client.patch(_path(key_id), changes)


@command.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", type=click.IntRange(0, LONGEST_OVERLAP_S), default=0, metavar="SECONDS",
    help="How long the old secret stays valid. Default: not at all.",
)  # fmt: skip
@shown_by(show_new)
@connected
def rotate(client: Client, key_id: str, overlap: int) -> Answer:
    """Gives a key a new secret and prints it once.

    \b
    Example:
      omni keys rotate 4fGx0TqLw2Zb --overlap 3600
    """
    return client.post(_path(key_id) + "/rotate", {"overlap_s": overlap})


@command.command()
@click.argument("key_id", metavar="ID")
@shown_by(show_revoked)
@connected
def revoke(client: Client, key_id: str) -> Answer:
    """Revokes a key. It stops working everywhere within 5 s, and its jobs and batches end.

    \b
    Example:
      omni keys revoke 4fGx0TqLw2Zb
    """
    return client.delete(_path(key_id))


def _path(key_id: str) -> str:
    return f"{PATH}/{quote(key_id, safe='')}"


def _row(key: Key) -> tuple[str, ...]:
    state = "valid" if key.revoked_at is None else "revoked"
    return (
        key.id,
        key.name,
        key.tenant,
        key.tier,
        _rate(key),
        _budget(key),
        ", ".join(key.scopes),
        day(key.created_at),
        state,
    )


def _given_budget(daily_usd: float | None, monthly_usd: float | None) -> dict[str, float | None]:
    return {"daily_usd": daily_usd, "monthly_usd": monthly_usd}


def _budget(key: Key) -> str:
    given = ((key.budget.daily_usd, "a day"), (key.budget.monthly_usd, "a month"))
    return ", ".join(f"${_dollars(amount)} {span}" for amount, span in given if amount is not None) or "none"


def _dollars(amount: float) -> str:
    """At least two decimals, and as many as it has."""
    whole, _, decimals = f"{amount:,.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def _rate(key: Key) -> str:
    return f"{key.requests_per_minute:,}" if key.requests_per_minute else "no limit"
