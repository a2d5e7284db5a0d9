"""POST /api/v1/jobs/{id}/retry: runs a job again that failed or expired, such as a dead letter.

The run is the key's that asks for it: it may use the model now, and its budgets have room for what the run can cost.
"""

from functions.routes.context import Context
from functions.routes.jobs_create import job_terms
from shared.core.fairness import WEIGHTS
from shared.jobs.orders import RetryOrder
from shared.jobs.view import view
from shared.surfaces.registry import SURFACES
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    job_id, caller = incoming.params["id"], incoming.caller
    job = context.jobs.replayable(caller.tenant, job_id)
    model = context.catalogue.require_for_jobs(caller.models, job.model, SURFACES[job.task].kind)
    terms = job_terms(model, context.jobs.input(job), job.timeout_s, caller, context)
    order = RetryOrder(caller.key_id, WEIGHTS[caller.tier], incoming.request_id, terms)
    again = context.jobs.retry(caller.tenant, job_id, order)
    return Reply.json(view(again), 202, [("location", f"/api/v1/jobs/{job_id}")])
