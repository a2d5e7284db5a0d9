"""How the demo tells what it does: what was asked, what came back, and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from cli.output import printable

MARGIN = "    "


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step of the demo ended."""

    title: str
    worked: bool
    measured: str
    """What was measured, or what went wrong."""


class Narrator:
    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, number: int, title: str) -> None:
        self._say(f"\n{number}. {title}", "bold")

    def asked(self, request: str) -> None:
        self._say(f"{MARGIN}→ {request}", "cyan")

    def came(self, answer: str) -> None:
        self._say(f"{MARGIN}← {answer}", "green")

    def quote(self, text: str) -> None:
        for line in printable(text).strip().splitlines():
            self._say(f"{MARGIN}  {line}")

    def piece(self, text: str, *, first: bool) -> None:
        """A part of a text that is still coming."""
        start = f"{MARGIN}  " if first else ""
        shown = start + printable(text).replace("\n", f"\n{MARGIN}  ")
        self._console.print(shown, end="", markup=False, highlight=False, soft_wrap=True)

    def end_of_pieces(self) -> None:
        self._console.print()

    def failed(self, reason: str) -> None:
        self._say(f"{MARGIN}✗ {reason}", "red")

    def summary(self, outcomes: Sequence[Outcome], elapsed_s: float) -> None:
        self._say("\nSummary", "bold")
        width = max(len(each.title) for each in outcomes)
        for each in outcomes:
            mark, style = ("✓", "green") if each.worked else ("✗", "red")
            self._say(f"{MARGIN}{mark} {each.title:<{width}}  {each.measured}", style)
        worked = sum(each.worked for each in outcomes)
        self._say(f"\n{worked} of {len(outcomes)} steps worked, in {elapsed_s:.1f} s.")

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
