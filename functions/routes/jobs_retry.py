"""POST /api/v1/jobs/{id}/retry: runs a job again that failed or expired, such as a dead letter."""

from functions.routes.context import Context
from shared.jobs.view import view
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    job_id = incoming.params["id"]
    job = context.jobs.retry(incoming.caller.tenant, job_id)
    return Reply.json(view(job), 202, [("location", f"/api/v1/jobs/{job_id}")])
