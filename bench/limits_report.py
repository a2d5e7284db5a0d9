"""What `omni bench limits` found."""

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass

from bench.figures import table
from bench.machine import Machine
from bench.surroundings import verdict

WINDOW_S = 60.0
OK = 200
LEAST_USED = 0.98
MOST_CALLS = 50
"""For 1,000 requests, where the limit is 1,000 a minute or more."""
HEAD = ["", "requests", "admitted", "worst 60 s", "of limit", "used", "Redis calls / 1,000"]


@dataclass(frozen=True, slots=True)
class Plan:
    processes: tuple[int, ...]
    """Of each case."""
    limit: int
    """Requests a minute, of all processes together."""
    demand: int
    """So many times the limit is asked for."""
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.limit * self.demand / 60


@dataclass(frozen=True, slots=True)
class Answer:
    at_s: float
    """From the run's beginning on."""
    status: int


@dataclass(frozen=True, slots=True)
class Case:
    processes: int
    requests: int
    admitted: int
    worst_window: int
    """The most that was admitted in any 60 s."""
    used: float
    """Of the limit, what was admitted in a window on average."""
    calls_per_1000: float
    others: dict[str, int]
    """Answers that were neither 200 nor 429, by status."""
    others_share: float

    @classmethod
    def over(cls, plan: Plan, processes: int, answers: list[Answer], calls: int, others_share: float) -> "Case":
        admitted = sorted(answer.at_s for answer in answers if answer.status == OK)
        strange = Counter(str(answer.status) for answer in answers if answer.status not in (OK, 429))
        return cls(
            processes=processes,
            requests=len(answers),
            admitted=len(admitted),
            worst_window=worst_window(admitted),
            used=_used(admitted, plan),
            calls_per_1000=calls / len(answers) * 1000,
            others=dict(strange),
            others_share=others_share,
        )


def worst_window(times: list[float]) -> int:
    """The most of these sorted times that lie within one window. It is enough to look at those that begin at one."""
    return max((bisect_left(times, first + WINDOW_S) - place for place, first in enumerate(times)), default=0)


def _used(times: list[float], plan: Plan) -> float:
    """Over the windows that lie in the run, one beginning each second; a shorter run is one window."""
    last = max(0, int(plan.seconds - WINDOW_S))
    counts = [bisect_right(times, start + WINDOW_S) - bisect_left(times, start) for start in range(last + 1)]
    return sum(counts) / len(counts) / plan.limit


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    plan: Plan
    cases: list[Case]

    @property
    def holds(self) -> bool:
        """Whether no window had more than the limit and no request failed, however busy the machine was."""
        return all(case.worst_window <= self.plan.limit and not case.others for case in self.cases)

    @property
    def goals(self) -> dict[str, bool]:
        found = {"in every 60 s at most the limit": self.holds}
        if self.plan.seconds >= WINDOW_S:
            found[f"{LEAST_USED:.0%} of it used"] = all(case.used >= LEAST_USED for case in self.cases)
        if self.plan.limit >= 1000:
            few = all(case.calls_per_1000 <= MOST_CALLS for case in self.cases)
            found[f"{MOST_CALLS} Redis calls for 1,000 requests"] = few
        return found


def text(report: Report) -> str:
    plan = report.plan
    heading = (
        f"{report.machine.heading}\n{plan.limit:,} requests a minute, {plan.demand} times as many asked for, "
        f"{plan.seconds:g} s each"
    )
    notes = [f"{case.processes} processes: {case.others}" for case in report.cases if case.others]
    rows = table([HEAD, *(_cells(case, plan) for case in report.cases)])
    others = max((case.others_share for case in report.cases), default=0.0)
    return "\n\n".join(part for part in [heading, rows, "\n".join(notes), verdict(others, report.goals)] if part)


def _cells(case: Case, plan: Plan) -> list[str]:
    return [
        f"{case.processes} processes",
        f"{case.requests:,}",
        f"{case.admitted:,}",
        f"{case.worst_window:,}",
        f"{case.worst_window / plan.limit:.1%}",
        f"{case.used:.1%}",
        f"{case.calls_per_1000:.1f}",
    ]
