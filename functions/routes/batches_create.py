"""POST /v1/batches: begins a batch. Its file is read and checked later, on a worker."""

from functions.routes.batches_get import view
from functions.routes.context import Context
from shared import manifest
from shared.batches.batches import BatchOrder
from shared.core.batches import RETENTION_S
from shared.core.errors import InvalidRequest, NotFound
from shared.core.fairness import WEIGHTS
from shared.files.files import BATCH
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.batches import BatchRequest
from shared.web.validation import parse


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(BatchRequest, incoming.body, context.settings.max_json_depth)
    caller = incoming.caller
    _check(wanted, caller.tenant, context)
    context.files.storage.require_room(caller.tenant)
    expires_after = wanted.output_expires_after
    batch = context.batches.create(
        BatchOrder(
            tenant=caller.tenant,
            key_id=caller.key_id,
            models=caller.models,
            weight=WEIGHTS[caller.tier],
            endpoint=wanted.endpoint,
            input_file_id=wanted.input_file_id,
            metadata=wanted.metadata or {},
            output_lifetime_s=expires_after.seconds if expires_after else RETENTION_S,
            trace_id=incoming.request_id,
            budgets=context.budgets.applying_to(caller),
            tier=caller.tier,
        )
    )
    return Reply.json(view(batch, context.batches.counts(batch)))


def _check(wanted: BatchRequest, tenant: str, context: Context) -> None:
    endpoints = [route.path for route in manifest.load() if route.kind == "inference"]
    if wanted.endpoint not in endpoints:
        raise InvalidRequest(f"'endpoint' must be one of: {', '.join(endpoints)}.", param="endpoint")
    try:
        file = context.files.get(tenant, wanted.input_file_id)
    except NotFound as error:
        raise NotFound(error.message, param="input_file_id", code=error.code) from None
    if file.purpose != BATCH:
        raise InvalidRequest(f"The file's purpose is '{file.purpose}', not '{BATCH}'.", param="input_file_id")
