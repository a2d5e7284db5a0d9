"""What a schedule's round reports, and how long it may take."""

from dataclasses import dataclass, replace

from shared.ports.clock import Clock

MOST_TIME_S = 25.0
"""A round ends here: two of them stay within a schedule's timeout."""


class Deadline:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._end = clock.monotonic() + MOST_TIME_S

    @property
    def is_over(self) -> bool:
        return self._clock.monotonic() >= self._end


@dataclass(frozen=True, slots=True)
class Report:
    examined: int = 0
    changed: int = 0
    failed: int = 0
    complete: bool = True
    """Whether everything was gone through in time."""

    def incomplete(self) -> "Report":
        return replace(self, complete=False)

    def __add__(self, other: "Report") -> "Report":
        return Report(
            self.examined + other.examined,
            self.changed + other.changed,
            self.failed + other.failed,
            self.complete and other.complete,
        )
