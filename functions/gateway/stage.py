"""What a stage of the pipeline is: it gets the exchange and whatever comes after it."""

from collections.abc import Awaitable, Callable, Sequence

from functions.gateway.exchange import Exchange

Handler = Callable[[Exchange], Awaitable[None]]
Stage = Callable[[Exchange, Handler], Awaitable[None]]


def fold(stages: Sequence[Stage], last: Handler) -> Handler:
    """One handler that runs the stages in order, outermost first, around `last`."""
    handler = last
    for stage in reversed(stages):
        handler = _around(stage, handler)
    return handler


def _around(stage: Stage, inner: Handler) -> Handler:
    def handle(exchange: Exchange) -> Awaitable[None]:
        return stage(exchange, inner)

    return handle
