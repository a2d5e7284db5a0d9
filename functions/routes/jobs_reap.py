"""POST /schedules/jobs-reap: takes back the jobs of dead workers and expires those past their deadline."""

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(context.jobs.reap())
