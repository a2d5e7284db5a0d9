"""One request's pass through the stages: in one go, without a task, as long as every stage decides from memory."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Outcome, Stage, Wait
from shared.web.asgi import CallerLeft
from shared.web.reply import Reply

GRACE_S = 0.25
"""A request that is answered so fast is answered, even if its caller is not there any more."""

Enter = Callable[[Exchange], Outcome]
Leave = Callable[[Exchange], Wait | None]

log = logging.getLogger("omni.gateway")


class Stages:
    """The stages in order, as their passes need them: what none has defined is not called."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.enters: list[tuple[Enter, int]] = []
        """And how many of `leaves` it takes to leave them from there on."""
        self.leaves: list[Leave] = []
        for stage in stages:
            if type(stage).leave is not Stage.leave:
                self.leaves.append(stage.leave)
            if type(stage).enter is not Stage.enter:
                self.enters.append((stage.enter, len(self.leaves)))


class RequestPass:
    __slots__ = (
        "_began",
        "_exchange",
        "_is_leaving",
        "_is_waiting",
        "_loop",
        "_reason",
        "_stages",
        "_task",
        "_to_enter",
        "_to_leave",
    )

    def __init__(self, stages: Stages, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._stages = stages
        self._exchange = exchange
        self._loop = loop
        self._began = loop.time()
        self._to_enter = 0
        self._to_leave = 0
        self._is_leaving = False
        self._is_waiting = False
        self._reason: Exception | None = None
        """Why what waits is cancelled."""
        self._task: asyncio.Task[None] | None = None

    def run(self) -> asyncio.Task[None] | None:
        """The task that the pass goes on in, if a stage has to wait."""
        if (wait := self._advance()) is None:
            return None
        self._exchange.running = self
        self._task = self._loop.create_task(self._go_on(wait))
        return self._task

    def caller_left(self) -> None:
        """Stops what the caller waited for, unless there is a reason to go on with it."""
        if self._is_leaving or self._task is None:
            return
        if (left_s := self._began + GRACE_S - self._loop.time()) > 0:
            self._loop.call_later(left_s, self.caller_left)
        elif not any(goes_on() for goes_on in self._exchange.reasons_to_go_on):
            self.stop(CallerLeft())

    def stop(self, reason: Exception) -> None:
        """Cancels what waits, once."""
        if self._task and not (self._is_leaving or self._reason):
            self._reason = reason
            if self._is_waiting:  # a task that is cancelled before its first step would never take it
                self._task.cancel()

    async def _go_on(self, wait: Wait | None) -> None:
        cancelled: asyncio.CancelledError | None = None
        self._is_waiting = True
        if self._reason and wait:
            wait.coroutine.close()
            self._exchange.was_cancelled = True
            self._fail(self._reason)
            wait = self._advance()
        while wait:
            try:
                reply = await wait.coroutine
                if reply and not self._is_leaving:
                    await self._exchange.reply(reply)
            except asyncio.CancelledError as error:
                cancelled = error
                self._exchange.was_cancelled = True
                self._fail(self._reason or CallerLeft())
            except Exception as error:  # noqa: BLE001 (whatever it is, the stage that answers errors tells of it)
                self._fail(error)
            wait = self._advance()
        if cancelled and not self._reason:
            raise cancelled

    def _advance(self) -> Wait | None:
        """Enters and leaves stages until one has to wait; None once all are left."""
        exchange, stages = self._exchange, self._stages
        while not self._is_leaving:
            if exchange.is_answered or self._to_enter == len(stages.enters):
                self._is_leaving = True
                break
            enter, self._to_leave = stages.enters[self._to_enter]
            self._to_enter += 1
            try:
                outcome = enter(exchange)
                if outcome is None:
                    continue
                if isinstance(outcome, Wait):
                    return outcome
                if not exchange.may_reply_now(outcome):
                    return Wait(self._replied(outcome))
                exchange.reply_now(outcome)
            except Exception as error:  # noqa: BLE001 (whatever it is, the stage that answers errors tells of it)
                self._fail(error)
        while self._to_leave:
            self._to_leave -= 1
            try:
                if wait := stages.leaves[self._to_leave](exchange):
                    return wait
            except Exception:  # Whatever one stage cannot do, the others are left.
                log.exception("a stage failed to settle", extra={"fields": {"request_id": exchange.request_id}})
        exchange.end()
        return None

    async def _replied(self, reply: Reply) -> None:
        await self._exchange.reply(reply)

    def _fail(self, error: Exception) -> None:
        if self._is_leaving:
            exchange = self._exchange
            log.error("a stage failed to settle", exc_info=error, extra={"fields": {"request_id": exchange.request_id}})
            return
        self._exchange.error, self._is_leaving = error, True
