"""How answers are shown: tables and colour on a terminal, plain columns and JSON for other programs."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cli.client import Answer

WIDE = 1000
"""Columns when there is no terminal: a table for another program is never wrapped or cut."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

as_json = click.option("--json", "as_json", is_flag=True, help="Print the platform's JSON answer, for scripts.")


def shown_by(show: Callable[[Answer], None]) -> Callable[[Callable[..., Answer]], Callable[..., None]]:
    """Lets a command return the platform's Answer: it is printed by `show`, or whole with the option --json."""

    def decorate(command: Callable[..., Answer]) -> Callable[..., None]:
        @as_json
        @wraps(command)
        def printing(*, as_json: bool, **options: Any) -> None:
            answer = command(**options)
            (show_json if as_json else show)(answer)

        return printing

    return decorate


def show_json(answer: Answer) -> None:
    """The platform's own document, indented."""
    click.echo(msgspec.json.format(answer.body, indent=2))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    console.print(table, markup=False, highlight=False)


def printable(text: str) -> str:
    """`text` without the control characters that could reprogram a terminal; line ends and tabs stay."""
    return CONTROL.sub("", text)


def day(seconds: float) -> str:
    """A time since 1970 in the reader's time zone."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d}"


def minute(seconds: float) -> str:
    """The same for what is kept for a month: without the year."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%m-%d %H:%M}"
