"""What the schedule does for files and uploads: deletes those whose time is over."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from shared.core.errors import Unavailable
from shared.files.files import Files
from shared.files.uploads import Uploads
from shared.jobs.report import MOST_TIME_S, Report
from shared.ports.clock import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)


class Retention:
    def __init__(self, files: Files, uploads: Uploads, is_read: Callable[[str], bool], clock: Clock) -> None:
        """`is_read` tells of a file's id whether a batch still needs the file."""
        self._files = files
        self._uploads = uploads
        self._is_read = is_read
        self._clock = clock

    def expire(self) -> Report:
        end = self._clock.monotonic() + MOST_TIME_S
        expired = (file for file in self._files.expired() if not self._is_read(file.id))
        files = self._purge(expired, self._files.purge, end)
        uploads = self._purge(self._uploads.expired(), self._uploads.purge, end)
        return Report(
            files.examined + uploads.examined,
            files.changed + uploads.changed,
            files.failed + uploads.failed,
            complete=files.complete and uploads.complete,
        )

    def _purge(self, expired: Iterable[T], purge: Callable[[T], None], end: float) -> Report:
        """Purges until `end`, on the monotonic clock; what cannot be purged waits for the next round."""
        changed = failed = 0
        for each in expired:
            if self._clock.monotonic() >= end:
                return Report(changed + failed, changed, failed, complete=False)
            try:
                purge(each)
                changed += 1
            except Unavailable as error:
                log.error("not purged", extra={"fields": {"reason": error.detail}})
                failed += 1
        return Report(changed + failed, changed, failed)
