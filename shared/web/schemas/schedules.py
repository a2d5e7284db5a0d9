"""What a schedule's run did."""

from shared.web.schemas.strict import Open


class ScheduleReport(Open):
    examined: int
    changed: int
    failed: int
    """Passed over with an error, which is in the log."""
    complete: bool
    """False when time ran out; the next run begins elsewhere."""
