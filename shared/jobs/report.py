"""What a schedule's round over jobs reports, and how long it may take."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.core.errors import Unavailable
from shared.core.job_documents import BadDocument
from shared.ports.clock import Clock
from shared.ports.store import Document

MOST_TIME_S = 25.0
"""A round ends here: two of them stay within a schedule's timeout."""

log = logging.getLogger(__name__)


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

    def counted(self, document: Document, act: Callable[[Document], bool]) -> "Report":
        """With one more document, which `act` may have changed; what cannot be helped is passed over."""
        try:
            changed = act(document)
        except (BadDocument, Unavailable) as error:
            log.error("a job was passed over", extra={"fields": {"job": document.get("id"), "reason": str(error)}})
            return replace(self, examined=self.examined + 1, failed=self.failed + 1)
        return replace(self, examined=self.examined + 1, changed=self.changed + changed)

    def incomplete(self) -> "Report":
        return replace(self, complete=False)

    def __add__(self, other: "Report") -> "Report":
        return Report(
            self.examined + other.examined,
            self.changed + other.changed,
            self.failed + other.failed,
            self.complete and other.complete,
        )
