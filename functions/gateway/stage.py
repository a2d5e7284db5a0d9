"""What a stage of the pipeline is: it is told of a request on its way in, and again on its way out."""

from collections.abc import Coroutine
from dataclasses import dataclass

from functions.gateway.exchange import Exchange
from shared.web.reply import Reply


@dataclass(frozen=True, slots=True)
class Wait:
    """Memory alone does not suffice: the request goes on when the coroutine has come to its end. It is cancelled when
    the caller leaves."""

    coroutine: Coroutine[None, None, Reply | None]
    """A Reply, or an answer that was given on the way, ends the request's way in."""


Outcome = Reply | Wait | None
"""None: the request goes on."""


class Stage:
    """A stage defines what it needs of the two."""

    def enter(self, exchange: Exchange) -> Outcome:  # noqa: ARG002
        """What it raises is answered, as is what its coroutine raises."""
        return None

    def leave(self, exchange: Exchange) -> Wait | None:  # noqa: ARG002
        """Called in reverse order of every stage that was entered, whatever came of it: see `exchange.error`."""
        return None
