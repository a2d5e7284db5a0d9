"""POST /api/v1/jobs: queues work. What could never succeed is refused here, before it is queued."""

from functools import cache
from typing import Any

import msgspec

from functions.routes.context import Context
from shared import manifest
from shared.core.errors import InvalidRequest, PayloadTooLarge
from shared.core.fairness import WEIGHTS
from shared.core.keys import Caller
from shared.core.routing import Model
from shared.jobs.charges import Terms, most_of, terms
from shared.jobs.orders import JobOrder
from shared.jobs.view import view
from shared.manifest import Route
from shared.surfaces.registry import SURFACES
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas import MODELS
from shared.web.schemas.jobs import JobRequest
from shared.web.validation import parse

MOST_INPUT_BYTES = 1024 * 1024


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(JobRequest, incoming.body, context.settings.max_json_depth)
    given = _with_model(wanted)
    _check_input(_task(wanted.task), given, context.settings.max_json_depth)
    model = context.catalogue.require_for_jobs(incoming.caller.models, given["model"], SURFACES[wanted.task].kind)
    if wanted.webhook:
        context.webhooks.require_usable(incoming.caller.tenant, wanted.webhook.url)
    timeout_s = _timeout_s(wanted, context.settings.job_timeout_s)
    job = context.jobs.create(
        JobOrder(
            tenant=incoming.caller.tenant,
            key_id=incoming.caller.key_id,
            task=wanted.task,
            model=given["model"],
            input=given,
            timeout_s=timeout_s,
            max_attempts=wanted.max_attempts,
            priority=wanted.priority,
            weight=WEIGHTS[incoming.caller.tier],
            metadata=wanted.metadata,
            webhook=wanted.webhook.model_dump() if wanted.webhook else None,
            trace_id=incoming.request_id,
            terms=job_terms(model, given, timeout_s, incoming.caller, context),
        )
    )
    return Reply.json(view(job), 202, [("location", f"/api/v1/jobs/{job.id}")])


def job_terms(model: Model, given: dict[str, Any], timeout_s: float, caller: Caller, context: Context) -> Terms:
    """At what the job is charged; only budgets need to know its worst case."""
    applying = context.budgets.applying_to(caller)
    most = most_of(model, given, timeout_s, context.settings.max_output_tokens) if applying else 0
    return terms(model, most, applying, caller.tier)


@cache
def _tasks() -> dict[str, Route]:
    return {route.name: route for route in manifest.load() if route.kind == "inference"}


def _task(name: str) -> Route:
    if route := _tasks().get(name):
        return route
    raise InvalidRequest(f"'task' must be one of: {', '.join(_tasks())}.", param="task", code="unknown_task")


def _with_model(wanted: JobRequest) -> dict[str, Any]:
    """The input with the model that stands beside it."""
    if wanted.model is None:
        return wanted.input
    if wanted.input.get("model", wanted.model) != wanted.model:
        raise InvalidRequest("'model' and 'input.model' name different models.", param="model", code="invalid_value")
    return wanted.input | {"model": wanted.model}


def _check_input(route: Route, given: dict[str, Any], max_depth: int) -> None:
    """Refuses what the route itself would refuse, and what a job cannot do."""
    body = msgspec.json.encode(given)
    if len(body) > MOST_INPUT_BYTES:
        raise PayloadTooLarge(f"'input' may have {MOST_INPUT_BYTES} bytes; it has {len(body)}.", param="input")
    try:
        parse(MODELS[route.request], body, max_depth)
    except InvalidRequest as error:
        raise _inside_input(error) from None
    if given.get("stream"):
        raise InvalidRequest("A job's answer is kept, not streamed.", param="input.stream", code="invalid_value")


def _inside_input(error: InvalidRequest) -> InvalidRequest:
    """The same refusal, naming the field by where the caller put it."""
    if error.param is None:
        return InvalidRequest(error.message, param="input", code=error.code)
    param = f"input.{error.param}"
    return InvalidRequest(error.message.replace(f"'{error.param}'", f"'{param}'", 1), param=param, code=error.code)


def _timeout_s(wanted: JobRequest, most: float) -> float:
    if wanted.timeout_s is not None and wanted.timeout_s > most:
        raise InvalidRequest(f"'timeout_s' may be at most {most:g} here.", param="timeout_s", code="invalid_value")
    return wanted.timeout_s or most
