"""What `omni bench jobs` found."""

from dataclasses import dataclass
from statistics import median

from bench import surroundings
from bench.figures import Figure, table
from bench.machine import Machine
from bench.surroundings import verdict

MOST_ENQUEUE_S, MOST_START_S = 0.005, 0.020
LEAST_RATE = 300
MOST_TIMES_ALONE = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    single: int = 100
    """Jobs one after the other."""
    burst: int = 2000
    callers: int = 4
    backlog: int = 10_000
    few: int = 10
    answer_s: float = 0.1
    """What an answer takes where fairness is measured."""


@dataclass(frozen=True, slots=True)
class Round:
    enqueued_s: list[float]
    started_s: list[float]
    jobs_per_s: float
    alone_s: float
    behind_s: float
    """With the other tenant's backlog in front."""


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    plan: Plan
    rounds: list[Round]
    enqueue_s: Figure
    start_s: Figure
    jobs_per_s: Figure
    times_alone: Figure
    others_share: float
    goals: dict[str, bool]
    """Empty when others used too much for a judgement."""

    @classmethod
    def over(cls, machine: Machine, plan: Plan, rounds: list[Round], others_share: float) -> "Report":
        enqueue = Figure.over(median(each.enqueued_s) for each in rounds)
        start = Figure.over(median(each.started_s) for each in rounds)
        rate = Figure.over(each.jobs_per_s for each in rounds)
        times = Figure.over(each.behind_s / each.alone_s for each in rounds)
        goals = {
            f"enqueue p50 ≤ {MOST_ENQUEUE_S * 1000:g} ms": enqueue.median <= MOST_ENQUEUE_S,
            f"start p50 ≤ {MOST_START_S * 1000:g} ms": start.median <= MOST_START_S,
            f"≥ {LEAST_RATE} jobs/s": rate.median >= LEAST_RATE,
            f"≤ {MOST_TIMES_ALONE:g} × the time alone": times.median <= MOST_TIMES_ALONE,
        }
        judged = goals if others_share <= surroundings.MOST else {}
        return cls(machine, plan, rounds, enqueue, start, rate, times, others_share, judged)


def text(report: Report) -> str:
    """The report for a terminal."""
    plan = report.plan
    heading = (
        f"{report.machine.heading}; SQLite\n"
        f"median of {plan.rounds} rounds ± half of their range; {plan.burst:,} jobs from {plan.callers} callers; "
        f"{plan.few} jobs behind {plan.backlog:,}, {plan.answer_s * 1000:g} ms each"
    )
    alone = Figure.over(each.alone_s for each in report.rounds)
    behind = Figure.over(each.behind_s for each in report.rounds)
    rows = [
        ["enqueue p50, ms", report.enqueue_s.text(0.001, 2)],
        ["start p50, ms", report.start_s.text(0.001, 2)],
        ["jobs/s", report.jobs_per_s.text()],
        [f"{plan.few} jobs alone, s", alone.text(digits=2)],
        [f"{plan.few} jobs behind the backlog, s", behind.text(digits=2)],
        ["times alone", report.times_alone.text(digits=2)],
    ]
    return "\n\n".join(part for part in [heading, table(rows), verdict(report.others_share, report.goals)] if part)
