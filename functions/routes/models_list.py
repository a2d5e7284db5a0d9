"""GET /v1/models: the models that the key may use, in OpenAI's shape."""

from functions.routes.context import Context
from shared.core.routing import Model
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    return Reply.json(
        {
            "object": "list",
            "data": [
                card(model, context.catalogue.changed_at)
                for model in context.catalogue.models
                if incoming.caller.may_use(model.id)
            ],
        }
    )


def card(model: Model, changed_at: int) -> dict[str, object]:
    """The model as OpenAI shows one, with what it can do and how much it can read."""
    return {
        "id": model.id,
        "object": "model",
        "created": changed_at,
        "owned_by": model.owned_by,
        "kinds": sorted(model.kinds),
        "context": model.context or None,
    }
