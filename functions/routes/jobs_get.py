"""GET /api/v1/jobs/{id}: a job of the caller's tenant."""

from functions.routes.context import Context
from shared.jobs.view import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    job = context.jobs.get(incoming.caller.tenant, incoming.params["id"])
    return Reply.json(view(job) | {"result": context.jobs.result(job)})
