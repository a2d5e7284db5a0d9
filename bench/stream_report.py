"""What `omni bench stream` found."""

from dataclasses import dataclass

from bench import surroundings
from bench.figures import Figure, table
from bench.gateway_report import OMNI
from bench.machine import Machine
from bench.surroundings import verdict

HEAD = ["", "µs CPU an event", "finished", "late p50, ms", "late p99, ms", "first event +ms", "KiB a stream"]


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    streams: int
    """At the same time."""
    events: int
    """In each stream."""
    ramp_s: float
    """Over which they begin."""
    alone: int
    """Single streams for the first event's delay."""
    interval_s: float


@dataclass(frozen=True, slots=True)
class Round:
    finished: int
    """Streams that brought every event and their end."""
    faults: dict[str, int]
    bytes_a_stream: float
    first_added_s: float
    """Median over single streams, less the upstream's own."""
    lateness_p50_s: float
    """Of every event of every stream, from the moment at which it was to be sent."""
    lateness_p99_s: float
    cpu_s_an_event: float
    others_share: float


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    trouble: str
    rounds: list[Round]

    def figure(self, name: str) -> Figure:
        return Figure.over(getattr(each, name) for each in self.rounds)


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    plan: Plan
    rows: list[Row]
    others_share: float
    goals: dict[str, bool]

    @classmethod
    def over(cls, machine: Machine, plan: Plan, rounds: dict[str, list[Round]], troubles: dict[str, str]) -> "Report":
        names = [*rounds, *(name for name in troubles if name not in rounds)]
        rows = [Row(name, troubles.get(name, ""), rounds.get(name, [])) for name in names]
        others = max((each.others_share for row in rows for each in row.rounds), default=0.0)
        ours = next((row for row in rows if row.name == OMNI and row.rounds), None)
        goals = _goals(ours, plan) if ours and others <= surroundings.MOST else {}
        return cls(machine, plan, rows, others, goals)

    @property
    def is_sound(self) -> bool:
        """Whether every stream of ours came to its end."""
        ours = next((row for row in self.rows if row.name == OMNI), None)
        return ours is not None and bool(ours.rounds) and not any(each.faults for each in ours.rounds)


def _goals(ours: Row, plan: Plan) -> dict[str, bool]:
    return {
        f"all {plan.streams} streams finished": all(each.finished == plan.streams for each in ours.rounds),
        "15 µs of processor time an event": ours.figure("cpu_s_an_event").median <= 15e-6,
        "30 KiB a stream": ours.figure("bytes_a_stream").median <= 30 * 1024,
    }


def text(report: Report) -> str:
    plan = report.plan
    heading = (
        f"{report.machine.heading}\nmedian of {plan.rounds} alternating rounds ± half of their range; "
        f"{plan.streams} streams of {plan.events} events, one every {plan.interval_s * 1000:g} ms"
    )
    notes = [f"{row.name}: {row.trouble}" for row in report.rows if row.trouble]
    notes += [
        f"{row.name}, round {number}: {count} × {fault}"
        for row in report.rows
        for number, each in enumerate(row.rounds, 1)
        for fault, count in each.faults.items()
    ]
    rows = table([HEAD, *(_cells(row) for row in report.rows)])
    parts = [heading, rows, "\n".join(notes), verdict(report.others_share, report.goals)]
    return "\n\n".join(part for part in parts if part)


def _cells(row: Row) -> list[str]:
    if not row.rounds:
        return [row.name, *["–"] * (len(HEAD) - 1)]
    return [
        row.name,
        row.figure("cpu_s_an_event").text(1e-6, 1),
        row.figure("finished").text(),
        row.figure("lateness_p50_s").text(1e-3, 2),
        row.figure("lateness_p99_s").text(1e-3, 2),
        row.figure("first_added_s").text(1e-3, 2),
        row.figure("bytes_a_stream").text(1024, 1),
    ]
