"""Lists come a page at a time: the options that choose a page, and the hint that there is another."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from cli.answers import IdPage, Page

MOST = 100
"""Rows that the API gives at once."""

R = TypeVar("R")


def paged(command: Callable[..., R]) -> Callable[..., R]:
    """Gives a command the options `limit` and `after`."""
    after = click.option("--after", metavar="CURSOR", help="Go on from an earlier page's cursor.")
    limit = click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True, help="Rows a page.")
    return limit(after(command))


def page_query(limit: int, after: str | None, filters: Mapping[str, str | None]) -> dict[str, str | int]:
    """The query for a page of what matches every filter that is given."""
    given: dict[str, str | int | None] = {"limit": limit, "after": after, **filters}
    return {name: value for name, value in given.items() if value is not None}


def tell_of_more(page: Page[Any]) -> None:
    if page.next_cursor:
        click.echo(f"There are more: --after {page.next_cursor}", err=True)


def tell_of_more_ids(page: IdPage[Any]) -> None:
    if page.has_more:
        click.echo(f"There are more: --after {page.last_id}", err=True)
