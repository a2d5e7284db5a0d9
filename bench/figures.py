"""A figure over several rounds: its median, and how far the rounds lay apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    median: float
    least: float
    most: float

    @classmethod
    def over(cls, values: Iterable[float]) -> "Figure":
        """ValueError when there is no value."""
        ordered = sorted(values)
        return cls(median(ordered), ordered[0], ordered[-1])

    @property
    def spread(self) -> str:
        """Half of the range as a share of the median, ` ±2%`; empty when all values are the same."""
        if self.least == self.most or not self.median:
            return ""
        return f" ±{(self.most - self.least) / 2 / abs(self.median):.0%}"

    def text(self, unit: float = 1, digits: int = 0) -> str:
        """The median in this unit with the spread: `26,104 ±2%`."""
        return f"{self.median / unit:,.{digits}f}{self.spread}"


def table(rows: list[list[str]]) -> str:
    """The rows in columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
