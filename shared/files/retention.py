"""What the schedule does for files and uploads: deletes those whose time is over."""

from collections.abc import Callable
from typing import Any

from shared.files.files import FILES, Files, StoredFile
from shared.files.uploads import UPLOADS, Upload, Uploads
from shared.ports.clock import Clock
from shared.ports.store import Document, Operator, Query
from shared.sweeps.report import Report
from shared.sweeps.sweep import Sweeps

SCHEDULE = "files_expire"
Where = tuple[tuple[str, Operator, Any], ...]


class Retention:
    def __init__(
        self, files: Files, uploads: Uploads, is_read: Callable[[str], bool], clock: Clock, sweeps: Sweeps
    ) -> None:
        """`is_read` tells of a file's id whether a batch still needs the file."""
        self._files = files
        self._uploads = uploads
        self._is_read = is_read
        self._clock = clock
        self._sweeps = sweeps

    def expire(self) -> Report:
        over: Where = (("purge_at", "<=", self._clock.now()),)
        files = self._sweeps.begin(SCHEDULE, FILES).over([Query(FILES, over, "purge_at")], self._purge_file)
        uploads = self._sweeps.begin(SCHEDULE, UPLOADS).over([Query(UPLOADS, over, "purge_at")], self._purge_upload)
        return files + uploads

    def _purge_file(self, document: Document) -> bool:
        file = StoredFile(**document)
        if self._is_read(file.id):
            return False
        self._files.purge(file)
        return True

    def _purge_upload(self, document: Document) -> bool:
        self._uploads.purge(Upload(**document))
        return True
