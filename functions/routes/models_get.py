"""GET /v1/models/{model}: one model of the catalogue."""

from functions.routes.context import Context
from functions.routes.models_list import card
from shared.catalogue import no_such_model
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    model_id = incoming.params["model"]
    if not incoming.caller.may_use(model_id):
        raise no_such_model(model_id)
    return Reply.json(card(context.catalogue.get(model_id), context.catalogue.changed_at))
