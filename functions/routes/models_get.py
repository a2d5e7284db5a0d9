"""GET /v1/models/{model}: one model of the catalogue."""

from functions.routes.context import Context
from functions.routes.models_list import card
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(card(context.catalogue.get(incoming.params["model"]), context.catalogue.changed_at))
