"""What `omni bench worker` found."""

from dataclasses import dataclass

from bench import surroundings
from bench.figures import Figure, table
from bench.machine import Machine
from bench.surroundings import verdict

ENGINE, WORKER, GATEWAY = "engine", "worker", "gateway"
AT_ONCE = (1, 8)
GOAL = 0.95
"""Of the bare engine's tokens a second, through the gateway with the most streams."""

Rates = dict[int, dict[str, list[float]]]
"""Tokens a second in each round, by the number of streams and by who was asked."""


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    tokens: int
    """That each stream answers."""


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    at_once: int
    rounds: list[float]
    """Tokens a second, of all streams together."""
    tokens_per_s: Figure
    of_engine: Figure
    """The share of the bare engine's tokens a second in the same round."""


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    model: str
    plan: Plan
    rows: list[Row]
    others_share: float
    """Of the whole machine, what other programs used while the rounds ran."""
    goals: dict[str, bool]
    """Empty when others used too much for a judgement."""

    @classmethod
    def over(cls, machine: Machine, model: str, plan: Plan, rates: Rates, others_share: float) -> "Report":
        rows = [
            _row(name, at_once, rounds, of_engine=by_name[ENGINE])
            for at_once, by_name in rates.items()
            for name, rounds in by_name.items()
        ]
        last = next(row for row in rows if row.name == GATEWAY and row.at_once == AT_ONCE[-1])
        goal = f"{GOAL:.0%} of the engine through the gateway at {AT_ONCE[-1]} streams"
        goals = {goal: last.of_engine.median >= GOAL} if others_share <= surroundings.MOST else {}
        return cls(machine, model, plan, rows, others_share, goals)


def _row(name: str, at_once: int, rounds: list[float], of_engine: list[float]) -> Row:
    shares = [ours / bare for ours, bare in zip(rounds, of_engine, strict=True)]
    return Row(name, at_once, rounds, Figure.over(rounds), Figure.over(shares))


def text(report: Report) -> str:
    """The report for a terminal."""
    machine, plan = report.machine, report.plan
    heading = (
        f"{machine.heading}; {report.model}\n"
        f"median of {plan.rounds} alternating rounds ± half of their range; {plan.tokens} tokens a stream"
    )
    cells = [
        [row.name, str(row.at_once), row.tokens_per_s.text(digits=1), row.of_engine.text(0.01, 1)]
        for row in report.rows
    ]
    rows = table([["", "streams", "tokens/s", "% of the engine"], *cells])
    return "\n\n".join(part for part in [heading, rows, verdict(report.others_share, report.goals)] if part)
