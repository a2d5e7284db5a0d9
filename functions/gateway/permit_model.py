"""A key that is bound to some models sees no other, not even in answers that are kept."""

from functions.gateway import body
from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared.catalogue import no_such_model
from shared.settings import Settings


class PermitModel:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        route, caller = exchange.route, exchange.caller
        if route and caller and caller.models is not None and route.kind == "inference":
            asked = await body.asked(exchange, self._settings)
            if not caller.may_use(asked.model):
                raise no_such_model(asked.model)
        await proceed(exchange)
