"""Keeps to `Prefer`: an inference request becomes a job, and whoever made a job waits a while for its end.

A preference that cannot be kept is an error here, not a silent answer of another kind: `respond-async` is sent because
the caller cannot hold the connection. It makes a job, so it takes a key that may make and read jobs.
"""

from dataclasses import replace
from typing import Any

import msgspec

from functions.gateway import upstream_errors
from functions.gateway.charge import HEADER as COST
from functions.gateway.exchange import JOB, Exchange
from functions.gateway.functions import Answer, Functions
from functions.gateway.job_watch import JobWatch, final
from functions.gateway.stage import Stage, Wait
from shared import manifest
from shared.core.errors import Conflict, InvalidRequest, OmniError, UpstreamFailed
from shared.core.jobs import Job, State
from shared.core.keys import Caller, Scope
from shared.core.preferences import Preferences, parse
from shared.core.pricing import NANO, dollars
from shared.jobs.view import view
from shared.keys.authentication import require_scope
from shared.web.asgi import RawHeaders
from shared.web.reply import Reply

HEADER = b"prefer"
VARY = (b"vary", b"Prefer")
CREATE = "jobs_create"


class Made(msgspec.Struct):
    id: str


_made = msgspec.json.Decoder(Made).decode
_encode = msgspec.json.Encoder().encode


class Prefer(Stage):
    def __init__(self, functions: Functions, watch: JobWatch) -> None:
        self._functions = functions
        self._watch = watch
        self._create = next(route for route in manifest.load() if route.name == CREATE)

    def enter(self, exchange: Exchange) -> Wait | None:
        route, caller = exchange.route, exchange.caller
        if route is None or caller is None or not (route.kind == "inference" or route.name == CREATE):
            return None
        exchange.reply_headers.append(VARY)
        if HEADER not in exchange.headers:
            return None
        wanted, content = parse(exchange.header_lines(HEADER)), exchange.content or b""
        if wanted.respond_async and exchange.asked:
            require_scope(caller, Scope.JOBS)
            order = _encode({"task": route.name, "input": msgspec.Raw(content)})
            return Wait(self._make(exchange, caller, order, wanted, exchange.asked.model))
        if route.name == CREATE and wanted.wait_s:
            return Wait(self._make(exchange, caller, content, replace(wanted, respond_async=False)))
        return None

    async def _make(
        self, exchange: Exchange, caller: Caller, order: bytes, wanted: Preferences, model: str = ""
    ) -> Reply:
        """Makes the job and answers for it. With a `model` its result is the answer, as if there were no job."""
        for_answer = bool(model)
        answer = await self._functions.ask(exchange, self._create, caller, order)
        if answer.status != self._create.status:
            raise _refusal(answer, for_answer=for_answer)
        exchange.model = model  # now that it is known to be one: metrics grow with every name
        exchange.answered_from = JOB
        reply = Reply(answer.status, answer.body, answer.headers)
        if wanted.wait_s:
            reply = await self._waited(exchange, caller, answer, wanted.wait_s, for_answer=for_answer)
        exchange.reply_headers.append((b"preference-applied", wanted.applied.encode()))
        return reply

    async def _waited(
        self, exchange: Exchange, caller: Caller, made: Answer, wait_s: float, *, for_answer: bool
    ) -> Reply:
        async with self._watch.watching(caller.tenant, _made(made.body).id) as watched:
            if (job := await final(watched, wait_s)) is None:
                return Reply(made.status, _encode(view(watched.sight.job)), made.headers)
            result = await self._watch.result(job)
        if for_answer:
            reply = Reply(200, _encode(_succeeded(job, result)), made.headers)
            exchange.reply_headers += _cost(job)
            return reply
        return Reply(200, _encode(view(job) | {"result": result}), made.headers)


def _succeeded(job: Job, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """The result of a job that went well; else what its caller would have been told without a job."""
    if job.state is State.SUCCEEDED:
        return result
    if job.state is State.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")
    if error := job.error:
        raise upstream_errors.of_status(error.status)(error.message, param=error.param, code=error.code)
    raise UpstreamFailed


def _cost(job: Job) -> RawHeaders:
    """What the answer cost, as the answer of a request that is no job tells it."""
    told = (job.usage or {}).get("cost_usd")
    return [] if told is None else [(COST, dollars(round(told * NANO)).encode())]


def _refusal(answer: Answer, *, for_answer: bool) -> OmniError:
    """The function's own refusal; a field of the input by the name its caller gave it."""
    error = upstream_errors.from_answer(
        answer.status, answer.body, upstream_errors.wait_s(answer.header("retry-after").encode()), trusted=True
    )
    if for_answer and isinstance(error, InvalidRequest) and (param := error.param or "").startswith("input"):
        error.param = param.removeprefix("input").removeprefix(".") or None
        error.message = error.message.replace(f"'{param}'", f"'{error.param}'" if error.param else "The body", 1)
    return error
