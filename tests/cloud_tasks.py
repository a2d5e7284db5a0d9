"""Cloud Tasks on a local port: a gRPC server that speaks the service's protocol and delivers over HTTP.

It keeps the service's contract: a name is accepted once and stays taken when its task is gone; deliveries are repeated
with backoff until they are answered with 2xx; an attempt that takes longer than the task's deadline is given up, though
its receiver may go on; every delivery has the X-CloudTasks headers and an ID token made for it.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
from google.cloud import tasks_v2

from shared.core.queues import QUEUES
from tests.google_identity import Google

PARENT = "projects/test-project/locations/europe-west1/queues/omni-"
NAME = re.compile(r"projects/[^/]+/locations/[^/]+/queues/([^/]+)/tasks/([A-Za-z0-9_-]{1,500})")
SERVICE = "google.cloud.tasks.v2.CloudTasks"
POLL_S = 0.01
MOST_BYTES = 1024 * 1024


@dataclass
class Waiting:
    """A task that was accepted and not yet answered with 2xx."""

    task: tasks_v2.Task
    due_at: float
    retries: int = 0
    executions: int = 0
    previous_status: int = 0
    reason: str = ""
    is_out: bool = False


@dataclass
class CloudTasks:
    google: Google
    min_backoff_s: float = 0.05
    max_backoff_s: float = 10.0
    deadline_s: float | None = None
    """Instead of the tasks' own, so that a test need not wait for it."""
    at_once: int = 1000
    """Most deliveries of a queue at the same time."""
    waiting: dict[str, Waiting] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """Every name that was accepted; a task leaves it behind."""
    refusals: deque[grpc.StatusCode] = field(default_factory=deque)
    """What the next creations are refused with."""
    lost_answers: deque[grpc.StatusCode] = field(default_factory=deque)
    """What the next creations are answered with although they worked."""
    asked: list[str] = field(default_factory=list)
    """The names that creations were asked for."""
    is_hanging: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def create(self, request: tasks_v2.CreateTaskRequest, context: grpc.ServicerContext) -> tasks_v2.Task:
        task = request.task
        self.asked.append(task.name)
        while self.is_hanging.is_set() and context.is_active():
            time.sleep(POLL_S)
        if self.refusals:
            context.abort(self.refusals.popleft(), "refused")
        self._require_valid(request, context)
        if task.name in self.names:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "Requested entity already exists")
        self.names.add(task.name)
        due_at = task.schedule_time.timestamp() if task.schedule_time else time.time()
        self.waiting[task.name] = Waiting(task, due_at)
        if self.lost_answers:
            context.abort(self.lost_answers.popleft(), "the answer was lost")
        return task

    def get_queue(self, request: tasks_v2.GetQueueRequest, context: grpc.ServicerContext) -> tasks_v2.Queue:
        while self.is_hanging.is_set() and context.is_active():
            time.sleep(POLL_S)
        if self.refusals:
            context.abort(self.refusals.popleft(), "refused")
        self._require_queue(request.name, context)
        return tasks_v2.Queue(name=request.name)

    def deliver(self, threads: ThreadPoolExecutor, stop: threading.Event) -> None:
        while not stop.wait(POLL_S):
            for name, waiting in list(self.waiting.items()):
                out = sum(each.is_out for each in list(self.waiting.values()))
                if not waiting.is_out and waiting.due_at <= time.time() and out < self.at_once:
                    waiting.is_out = True
                    threads.submit(self._attempt, name, waiting)

    def _require_valid(self, request: tasks_v2.CreateTaskRequest, context: grpc.ServicerContext) -> None:
        task, http = request.task, request.task.http_request
        self._require_queue(request.parent, context)
        latest = datetime.now(UTC) + timedelta(days=30)
        problems = {
            "the name is not one": not NAME.fullmatch(task.name) or not task.name.startswith(request.parent + "/"),
            "the URL is not one": not http.url.startswith(("http://", "https://")),
            "the deadline is out of range": not timedelta(seconds=15)
            <= task.dispatch_deadline
            <= timedelta(minutes=30),
            "it is scheduled too late": bool(task.schedule_time) and task.schedule_time > latest,
            "it is too large": len(http.body) > MOST_BYTES,
            "the account is no address": "@" not in http.oidc_token.service_account_email,
        }
        for problem, is_there in problems.items():
            if is_there:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)

    @staticmethod
    def _require_queue(name: str, context: grpc.ServicerContext) -> None:
        if name not in {PARENT + queue for queue in QUEUES}:
            context.abort(grpc.StatusCode.NOT_FOUND, "Queue does not exist.")

    def _attempt(self, name: str, waiting: Waiting) -> None:
        status, reason = self._post(waiting)
        if 200 <= status < 300:
            del self.waiting[name]
            return
        waiting.due_at = time.time() + min(self.max_backoff_s, self.min_backoff_s * 2**waiting.retries)
        waiting.retries += 1
        waiting.executions += 0 < status < 500
        waiting.previous_status, waiting.reason = status, reason
        waiting.is_out = False

    def _post(self, waiting: Waiting) -> tuple[int, str]:
        """The status, 0 when there was none, and what the service would call the failure."""
        http, deadline = waiting.task.http_request, self.deadline_s or waiting.task.dispatch_deadline.total_seconds()
        try:
            answer = httpx.post(
                http.url, content=http.body, headers=self._headers(waiting), timeout=deadline, trust_env=False
            )
        except httpx.TimeoutException:
            return 0, "DEADLINE_EXCEEDED"
        except httpx.TransportError:
            return 0, "UNREACHABLE"
        return answer.status_code, "HTTP status code"

    def _headers(self, waiting: Waiting) -> dict[str, str]:
        task, found = waiting.task, NAME.fullmatch(waiting.task.name)
        assert found
        token = task.http_request.oidc_token
        headers = dict(task.http_request.headers) | {
            "User-Agent": "Google-Cloud-Tasks",
            "X-CloudTasks-QueueName": found[1],
            "X-CloudTasks-TaskName": found[2],
            "X-CloudTasks-TaskRetryCount": str(waiting.retries),
            "X-CloudTasks-TaskExecutionCount": str(waiting.executions),
            "X-CloudTasks-TaskETA": f"{waiting.due_at:.6f}",
            "Authorization": "Bearer "
            + self.google.token(token.audience or task.http_request.url, token.service_account_email),
        }
        if waiting.retries:
            headers["X-CloudTasks-TaskRetryReason"] = waiting.reason
        if waiting.previous_status:
            headers["X-CloudTasks-TaskPreviousResponse"] = str(waiting.previous_status)
        return headers


@contextmanager
def running(google: Google) -> Iterator[CloudTasks]:
    service, stop = CloudTasks(google), threading.Event()
    with ThreadPoolExecutor(32) as deliveries, ThreadPoolExecutor(16) as calls:
        server = grpc.server(calls)
        server.add_generic_rpc_handlers((_handlers(service),))
        service.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        delivering = threading.Thread(target=service.deliver, args=(deliveries, stop))
        delivering.start()
        try:
            yield service
        finally:
            service.is_hanging.clear()
            stop.set()
            delivering.join()
            server.stop(0).wait()


def _handlers(service: CloudTasks) -> grpc.GenericRpcHandler:
    calls: dict[str, tuple[Callable[..., Any], Any, Any]] = {
        "CreateTask": (service.create, tasks_v2.CreateTaskRequest, tasks_v2.Task),
        "GetQueue": (service.get_queue, tasks_v2.GetQueueRequest, tasks_v2.Queue),
    }
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(
                answer, request_deserializer=asked.deserialize, response_serializer=given.serialize
            )
            for name, (answer, asked, given) in calls.items()
        },
    )
