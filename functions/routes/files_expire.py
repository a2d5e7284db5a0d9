"""POST /schedules/files-expire: deletes the files and uploads whose time is over."""

from functions.routes.context import Context
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(context.retention.expire())
