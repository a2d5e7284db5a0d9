"""The queue in Google Cloud Tasks.

A task is named, so the service drops a repetition, and carries an ID token that is made when it is delivered. When the
answer to a creation is lost nobody knows whether there is a task now: it is created again under the same name, and
"already exists" then tells that it was there.

The client takes long to import, so that is left to the first use, and gRPC's threads do not survive a fork, so each
process makes its own.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.errors import NotInstalled, Unavailable
from shared.core.queues import GPU_LO
from shared.ports.queue import Task

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud import tasks_v2

NAME = re.compile(r"[A-Za-z0-9_-]{1,500}")
DISPATCH_DEADLINE = timedelta(minutes=30)
"""The longest there is; a worker ends its runs before."""
TIMEOUT_S = 3.0
ATTEMPTS = 3
PAUSE_S = 0.2
UNANSWERED = frozenset({"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN", "ABORTED"})
"""Codes after which the task may have been created, or not."""

log = logging.getLogger("omni.queue")


class CloudTasksQueue:
    def __init__(
        self,
        queues: str,
        account: str,
        endpoint: str = "",
        *,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`queues` is what a queue's full name begins with, `projects/…/locations/…/queues/omni-`; `account` is the
        service account that deliveries are made in the name of; `endpoint` an emulator's `host:port`."""
        self._queues = queues
        self._account = account
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._connecting = threading.Lock()
        self._client: tuple[int, tasks_v2.CloudTasksClient] | None = None
        """With the process that connected it."""

    def enqueue(self, task: Task) -> bool:
        if not NAME.fullmatch(task.name):
            raise ValueError(f"{task.name!r} is not a task's name")
        with _availability():
            return self._create(self._connected(), task)

    def ping(self) -> None:
        with _availability():
            from google.api_core.exceptions import PermissionDenied

            try:
                self._connected().get_queue(name=self._queues + GPU_LO, retry=None, timeout=self._timeout_s)
            except PermissionDenied:
                return  # it answers; who may only create tasks may not look at the queue

    def _create(self, client: "tasks_v2.CloudTasksClient", task: Task) -> bool:
        from google.api_core.exceptions import AlreadyExists, GoogleAPICallError

        built, unanswered = self._built(task), 0
        while True:
            try:
                client.create_task(parent=self._queues + task.queue, task=built, retry=None, timeout=self._timeout_s)
            except AlreadyExists:
                return unanswered > 0  # then it may well be this very one
            except GoogleAPICallError as error:
                unanswered += 1
                if (code := _code(error)) not in UNANSWERED or unanswered == ATTEMPTS:
                    raise
                log.warning("a task is created again", extra={"fields": {"task": task.name, "code": code}})
                self._sleep(PAUSE_S * unanswered)
            else:
                return True

    def _built(self, task: Task) -> "tasks_v2.Task":
        from google.cloud.tasks_v2 import HttpMethod, HttpRequest, OidcToken
        from google.cloud.tasks_v2 import Task as CloudTask

        # Without an audience of its own the token is for the whole URL, which the receiver would refuse.
        token = OidcToken(service_account_email=self._account, audience=task.audience)
        request = HttpRequest(
            url=task.url,
            http_method=HttpMethod.POST,
            headers={"Content-Type": "application/json"},
            body=task.body,
            oidc_token=token,
        )
        return CloudTask(
            name=f"{self._queues}{task.queue}/tasks/{task.name}",
            http_request=request,
            dispatch_deadline=DISPATCH_DEADLINE,
            schedule_time=datetime.fromtimestamp(task.not_before, UTC) if task.not_before else None,
        )

    def _connected(self) -> "tasks_v2.CloudTasksClient":
        with self._connecting:
            if self._client is None or self._client[0] != os.getpid():
                self._client = os.getpid(), _connected(self._endpoint)
            return self._client[1]


def _connected(endpoint: str) -> "tasks_v2.CloudTasksClient":
    from google.cloud.tasks_v2 import CloudTasksClient

    if not endpoint:
        return CloudTasksClient()
    import grpc  # type: ignore[import-untyped]
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return CloudTasksClient(
        transport=CloudTasksGrpcTransport(channel=grpc.insecure_channel(endpoint), credentials=nobody)
    )


@contextmanager
def _availability() -> Iterator[None]:
    """Turns the client's refusals into Unavailable, and its absence into NotInstalled."""
    try:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import tasks_v2  # noqa: F401
    except ImportError:
        raise NotInstalled("Cloud Tasks needs the package google-cloud-tasks (extra `gcp`).") from None
    try:
        yield
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise Unavailable("The queue is not available.", detail=repr(error), retry_after_s=1.0) from error


def _code(error: "GoogleAPICallError") -> str:
    return error.grpc_status_code.name if error.grpc_status_code else ""
