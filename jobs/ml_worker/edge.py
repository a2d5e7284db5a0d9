"""The worker's HTTP edge: who asks, for what, and the answer in the one shape."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated

from pydantic import Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from jobs.ml_worker import caller
from jobs.ml_worker.engine_inference import EngineInference
from jobs.ml_worker.request_facts import RequestFacts
from shared import manifest, telemetry
from shared.catalogue import no_such_model
from shared.core import keys, problem
from shared.core.errors import NotFound, OmniError, PermissionDenied, Unavailable
from shared.core.fairness import Owner
from shared.core.queues import queue_named
from shared.jobs.wakeups import WakeUp
from shared.keys.authentication import require_scope
from shared.keys.caller_token import WORKER, Call
from shared.manifest import Route, Router
from shared.money.policy import BudgetPolicy
from shared.ports.clock import Clock
from shared.settings import Settings
from shared.web.asgi import CallerLeft, check_head, read_body, refuse_ambiguity
from shared.web.door import Door, Entry, require_signed_body
from shared.web.incoming import request_id
from shared.web.reply import Reply
from shared.web.schemas.strict import Strict
from shared.web.system import SystemPages
from shared.web.validation import parse

TASKS_RUN = Route(
    "tasks_run", ("POST",), "/tasks/run", "schedule", "System", "Runs a job; the queue calls it.", keys.Scope.SYSTEM
)
EVENT_STREAM = {"cache-control": "no-cache", "x-accel-buffering": "no"}

RunJob = Callable[[WakeUp, str], Awaitable[None]]
"""Takes a wake-up and the queue that it came from."""

log = logging.getLogger("omni.worker")


class WakeUpBody(Strict):
    """What the queue posts: shared.jobs.wakeups.WakeUp."""

    job_id: Annotated[str, Field(min_length=1, max_length=200)]
    seq: Annotated[int, Field(ge=0)]
    tenant: Annotated[str, Field(max_length=200)] = ""
    weight: Annotated[int, Field(ge=1, le=100)] = 1


class Edge:
    """An ASGI application."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        door: Door,
        pages: SystemPages,
        inference: EngineInference,
        run_job: RunJob,
        budgets: BudgetPolicy,
    ) -> None:
        self._settings = settings
        self._budgets = budgets
        self._clock = clock
        self._door = door
        self._pages = pages
        self._inference = inference
        self._run_job = run_job
        self._request_log = telemetry.RequestLog("worker")
        self._jobs: set[asyncio.Task[None]] = set()
        served = [route for route in manifest.load() if route.kind == "inference"]
        self._router = Router([*served, TASKS_RUN, *manifest.system(settings)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        facts = RequestFacts(
            request_id(request.headers.get("x-request-id", "")), request.method, self._clock.monotonic()
        )

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                facts.status = message["status"]
                added = [("x-request-id", facts.request_id), *facts.reply_headers]
                message["headers"] += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in added]
            await send(message)

        try:
            response = await self._response(request, facts)
            await response(scope, receive, send_with_id)
        except (CallerLeft, ClientDisconnect):
            return
        finally:
            self._record(facts)

    async def release_jobs(self) -> None:
        """Stops the jobs that run here, so that another worker takes them up."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def _record(self, facts: RequestFacts) -> None:
        ended = self._clock.monotonic()
        facts.measure(ended)
        facts.write(self._request_log, ended, self._settings.slow_request_s)
        if not self._settings.run_as_internal:  # otherwise the gateway has counted it
            facts.track_usage()

    async def _response(self, request: Request, facts: RequestFacts) -> Response:
        try:
            return await self._answer(request, facts)
        except OmniError as error:
            if error.status >= 500:
                log.error(error.message, extra={"fields": {"request_id": facts.request_id, "detail": error.detail}})
            return _sent(Reply.problem(error, facts.request_id))
        except CallerLeft:
            raise
        except Exception:  # The edge: whatever is left becomes a 500 in the one shape, and its story goes to the log.
            log.exception("unexpected error", extra={"fields": {"request_id": facts.request_id}})
            return _sent(Reply.problem(OmniError(), facts.request_id))

    async def _answer(self, request: Request, facts: RequestFacts) -> Response:
        scope = request.scope
        check_head(scope["path"], scope["query_string"], scope["headers"], self._settings.max_header_bytes)
        refuse_ambiguity(request.scope["headers"])
        path = self._door.path(request.scope["path"])
        route, _ = self._router.find(request.method, path)
        facts.route = route.name
        entry = await self._let_in(request, route, path, facts) if route.scope else None
        if route.kind == "system":
            return await self._page(request, path)
        declared = request.headers.get("content-length", "0").encode("latin-1")
        most, within_s = self._settings.max_body_bytes, self._settings.body_timeout_s
        content = await read_body(request.receive, declared, most, within_s)
        if entry:
            require_signed_body(entry, content)
        if route.name == TASKS_RUN.name:
            return await self._job(
                WakeUp(**parse(WakeUpBody, content).model_dump()), request.headers.get("x-cloudtasks-queuename", "")
            )
        return await self._infer(request, route, content, facts)

    async def _page(self, request: Request, path: str) -> Response:
        reply = await asyncio.to_thread(self._pages.answer, path, request.headers.get("if-none-match", ""))
        if reply is None:
            raise NotFound
        return _sent(reply)

    async def _let_in(self, request: Request, route: Route, path: str, facts: RequestFacts) -> Entry:
        headers, peer = caller.headers(request), request.client.host if request.client else ""
        call = Call(WORKER, request.method, path, request.scope["query_string"].decode("latin-1"))
        entry = self._door.remembered(headers, call, route.scope)
        if entry is None:  # a key may have to be looked up, and what knows it blocks
            entry = await asyncio.to_thread(self._door.enter, headers, peer, call, route.scope)
        facts.caller = entry.caller
        facts.reply_headers += entry.headers
        require_scope(entry.caller, route.scope)
        return entry

    async def _job(self, wake_up: WakeUp, queue: str) -> Response:
        """Runs the job to its end, also when whoever woke it stops waiting."""
        queue = queue_named(queue, self._settings.queue_prefix)
        job = asyncio.ensure_future(self._run_job(wake_up, queue))
        self._jobs.add(job)
        try:
            await asyncio.wait({job})
        finally:
            self._jobs.discard(job)
            job.cancel()
        if job.cancelled():
            raise Unavailable("This worker is stopping.", retry_after_s=1)
        job.result()
        return _sent(Reply.json({}))

    async def _infer(self, request: Request, route: Route, content: bytes, facts: RequestFacts) -> Response:
        owner = Owner.of_caller(facts.caller) if facts.caller else Owner("")
        plan, answer = await self._inference.open(route.name, content, owner)
        facts.model, facts.usage = plan.calls[0]["model"], answer.usage
        self._permit(facts)
        if not plan.stream:
            return _sent(Reply.json(await caller.unless_gone(request.receive, answer.whole())))
        blocks = answer.stream()
        first = await caller.unless_gone(request.receive, _first(blocks))
        telemetry.FIRST_TOKEN.labels(facts.model).observe(self._clock.monotonic() - facts.started)
        return StreamingResponse(_events(first, blocks, facts), headers=EVENT_STREAM, media_type="text/event-stream")

    def _permit(self, facts: RequestFacts) -> None:
        """Behind the gateway, which knows the model by the catalogue's name, it has been done."""
        if self._settings.run_as_internal or facts.caller is None:
            return
        if not facts.caller.may_use(facts.model):
            raise no_such_model(facts.model)
        if self._budgets.applying_to(facts.caller):
            raise PermissionDenied(
                "Only the gateway keeps budgets: send the request there.", code="budget_needs_gateway"
            )


async def _events(first: bytes, blocks: AsyncGenerator[bytes], facts: RequestFacts) -> AsyncGenerator[bytes]:
    """The stream that has begun. An error can now only be its last event; it never ends without one or `[DONE]`."""
    async with aclosing(blocks):
        try:
            yield first
            async for block in blocks:
                yield block
        except Exception as error:  # the edge: whatever it is, the caller is told that this is not the whole answer
            known = error if isinstance(error, OmniError) else OmniError()
            fields = {"request_id": facts.request_id, "detail": known.detail}
            log.error(known.message, extra={"fields": fields}, exc_info=None if known is error else error)
            yield b"data: " + problem.body(known, facts.request_id) + b"\n\n"


async def _first(blocks: AsyncGenerator[bytes]) -> bytes:
    return await anext(blocks)


def _sent(reply: Reply) -> Response:
    response = Response(reply.body, reply.status)
    response.raw_headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    return response
