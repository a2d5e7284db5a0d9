"""POST /schedules/usage-rollup: adds the rows of usage that are new to the sums by day."""

from functions.routes.context import Context
from shared.money.usage import ROWS, UsageRecords
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    records = UsageRecords(context.ports.store, context.settings.usage_days)
    return Reply.json(records.roll_up(context.sweeps.begin("usage_rollup", ROWS)))
