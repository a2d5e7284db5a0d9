"""Keeps to `Prefer`: an inference request becomes a job, and whoever made a job waits a while for its end.

A preference that cannot be kept is an error here, not a silent answer of another kind: `respond-async` is sent because
the caller cannot hold the connection. It makes a job, so it takes a key that may make and read jobs.
"""

from dataclasses import replace
from typing import Any

import msgspec

from functions.gateway import body, upstream_errors
from functions.gateway.exchange import Exchange
from functions.gateway.functions import Answer, Functions
from functions.gateway.job_watch import JobWatch, final
from functions.gateway.stage import Handler
from functions.gateway.watch import CallerWatch
from shared import manifest
from shared.core.errors import Conflict, InvalidRequest, OmniError, UpstreamFailed
from shared.core.jobs import Job, State
from shared.core.keys import Caller, Scope
from shared.core.preferences import Preferences, parse
from shared.jobs.view import view
from shared.keys.authentication import require_scope
from shared.settings import Settings
from shared.web.reply import Reply

HEADER = b"prefer"
VARY = (b"vary", b"Prefer")
CREATE = "jobs_create"


class Made(msgspec.Struct):
    id: str


_made = msgspec.json.Decoder(Made).decode
_encode = msgspec.json.Encoder().encode


class Prefer:
    def __init__(self, settings: Settings, functions: Functions, watch: JobWatch) -> None:
        self._settings = settings
        self._functions = functions
        self._watch = watch
        self._create = next(route for route in manifest.load() if route.name == CREATE)

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        route, caller = exchange.route, exchange.caller
        if route is None or caller is None or not (route.kind == "inference" or route.name == CREATE):
            await proceed(exchange)
            return
        exchange.reply_headers.append(VARY)
        wanted = parse(exchange.header_lines(HEADER)) if HEADER in exchange.headers else Preferences()
        if route.kind == "inference" and wanted.respond_async:
            require_scope(caller, Scope.JOBS)
            content = await body.read(exchange, self._settings)
            model = (await body.asked(exchange, self._settings)).model
            order = _encode({"task": route.name, "input": msgspec.Raw(content)})
            await self._make(exchange, caller, order, wanted, model)
        elif route.name == CREATE and wanted.wait_s:
            order = await body.read(exchange, self._settings)
            await self._make(exchange, caller, order, replace(wanted, respond_async=False))
        else:
            await proceed(exchange)

    async def _make(
        self, exchange: Exchange, caller: Caller, order: bytes, wanted: Preferences, model: str = ""
    ) -> None:
        """Makes the job and answers for it. With a `model` its result is the answer, as if there were no job."""
        for_answer = bool(model)
        with CallerWatch(exchange):
            answer = await self._functions.ask(exchange, self._create, caller, order)
            if answer.status != self._create.status:
                raise _refusal(answer, for_answer=for_answer)
            exchange.model = model  # now that it is known to be one: metrics grow with every name
            reply = Reply(answer.status, answer.body, answer.headers)
            if wanted.wait_s:
                reply = await self._waited(caller, answer, wanted.wait_s, for_answer=for_answer)
        exchange.answered_from = "job"  # whose tokens are counted where it runs
        exchange.reply_headers.append((b"preference-applied", wanted.applied.encode()))
        await exchange.reply(reply)

    async def _waited(self, caller: Caller, made: Answer, wait_s: float, *, for_answer: bool) -> Reply:
        async with self._watch.watching(caller.tenant, _made(made.body).id) as watched:
            if (job := await final(watched, wait_s)) is None:
                return Reply(made.status, _encode(view(watched.sight.job)), made.headers)
            result = await self._watch.result(job)
        if for_answer:
            return Reply(200, _encode(_succeeded(job, result)), made.headers)
        return Reply(200, _encode(view(job) | {"result": result}), made.headers)


def _succeeded(job: Job, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """The result of a job that went well; else what its caller would have been told without a job."""
    if job.state is State.SUCCEEDED:
        return result
    if job.state is State.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")
    if job.error:
        raise UpstreamFailed(job.error.message, code=job.error.code)
    raise UpstreamFailed


def _refusal(answer: Answer, *, for_answer: bool) -> OmniError:
    """The function's own refusal; a field of the input by the name its caller gave it."""
    error = upstream_errors.from_answer(answer.status, answer.body, answer.header("retry-after").encode(), trusted=True)
    if for_answer and isinstance(error, InvalidRequest) and (param := error.param or "").startswith("input"):
        error.param = param.removeprefix("input").removeprefix(".") or None
        error.message = error.message.replace(f"'{param}'", f"'{error.param}'" if error.param else "The body", 1)
    return error
