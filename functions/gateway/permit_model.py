"""A key that is bound to some models sees no other, not even in answers that are kept."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Stage
from shared.catalogue import no_such_model


class PermitModel(Stage):
    def enter(self, exchange: Exchange) -> None:
        caller, asked = exchange.caller, exchange.asked
        if asked and caller and caller.models is not None and not caller.may_use(asked.model):
            raise no_such_model(asked.model)
