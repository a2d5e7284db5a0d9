"""A request enters the stages in order and leaves those that it entered in reverse, whatever one of them does."""

import asyncio
from collections.abc import Callable

import pytest

from functions.gateway.answer_errors import AnswerErrors
from functions.gateway.exchange import Exchange
from functions.gateway.request_pass import GRACE_S, RequestPass, Stages
from functions.gateway.stage import Outcome, Stage, Wait
from shared.core.errors import NotFound
from shared.web.asgi import CallerLeft
from shared.web.reply import Reply
from tests.gateway.calls import WrittenDown, bare_exchange, until

Happened = list[str]


class Noted(Stage):
    """Writes down when it is entered and left."""

    def __init__(self, name: str, happened: Happened, enter: Callable[[], Outcome] = lambda: None) -> None:
        self._name, self._happened, self._enter = name, happened, enter

    def enter(self, exchange: Exchange) -> Outcome:
        self._happened.append(f"+{self._name}")
        return self._enter()

    def leave(self, exchange: Exchange) -> Wait | None:
        self._happened.append(f"-{self._name}")
        return None


def fails() -> Outcome:
    raise NotFound("Not here.")


async def fails_later() -> Reply | None:
    await asyncio.sleep(0)
    raise NotFound("Not here.")


def run(*stages: Stage, exchange: Exchange | None = None) -> WrittenDown:
    """A pass, to its end."""

    async def passed() -> WrittenDown:
        writer = WrittenDown()
        task = RequestPass(Stages(stages), exchange or bare_exchange(writer), asyncio.get_running_loop()).run()
        if task:
            await task
        return writer

    return asyncio.run(passed())


async def later(reply: Reply | None) -> Reply | None:
    await asyncio.sleep(0)
    return reply


@pytest.mark.parametrize("waits", [False, True], ids=["from memory", "after a wait"])
def test_a_reply_ends_the_way_in(*, waits: bool) -> None:
    happened: Happened = []
    reply = Reply(200, b"{}")
    answers: Callable[[], Outcome] = (lambda: Wait(later(reply))) if waits else (lambda: reply)
    writer = run(Noted("a", happened), Noted("b", happened, answers), Noted("c", happened))
    assert happened == ["+a", "+b", "-b", "-a"]
    assert (writer.status, writer.parts) == (200, [b"{}"])


def test_stages_that_decide_from_memory_take_no_task() -> None:
    async def passed() -> asyncio.Task[None] | None:
        stages = Stages([Noted("a", []), Noted("b", [], lambda: Reply(200))])
        return RequestPass(stages, bare_exchange(), asyncio.get_running_loop()).run()

    assert asyncio.run(passed()) is None


@pytest.mark.parametrize("fault", [fails, lambda: Wait(fails_later())], ids=["at once", "after a wait"])
def test_what_a_stage_raises_is_answered_and_every_entered_stage_is_left(fault: Callable[[], Outcome]) -> None:
    happened: Happened = []
    writer = run(
        Noted("a", happened), AnswerErrors(), Noted("b", happened), Noted("c", happened, fault), Noted("d", happened)
    )
    assert happened == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert writer.status == 404


def test_a_bug_is_a_500_in_the_one_shape_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    def bug() -> Outcome:
        raise ValueError("secret")

    writer = run(AnswerErrors(), Noted("a", [], bug))
    assert writer.status == 500
    assert b"secret" not in b"".join(writer.parts)
    assert "unexpected error" in caplog.text


def test_a_stage_that_cannot_settle_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Stage):
        def leave(self, exchange: Exchange) -> Wait | None:
            raise ValueError

    happened: Happened = []
    writer = run(Noted("a", happened), Broken(), Noted("b", happened, lambda: Reply(204)))
    assert happened == ["+a", "+b", "-b", "-a"]
    assert writer.status == 204
    assert "failed to settle" in caplog.text


def test_an_answer_that_no_stage_gives_is_broken_off() -> None:
    assert run(Noted("a", [])).is_broken_off


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_wait_is_cancelled_when_the_caller_leaves_unless_there_is_a_reason_to_go_on(*, goes_on: bool) -> None:
    async def passed() -> None:
        exchange, gate = bare_exchange(), asyncio.Event()
        happened: Happened = []

        async def waits() -> Reply | None:
            await gate.wait()
            return Reply(200)

        exchange.reasons_to_go_on.append(lambda: goes_on)
        stages = Stages([Noted("a", happened), Noted("b", happened, lambda: Wait(waits()))])
        request_pass = RequestPass(stages, exchange, asyncio.get_running_loop())
        task = request_pass.run()
        assert task
        request_pass.caller_left()
        await asyncio.sleep(GRACE_S * 1.2)  # what is answered so fast is answered
        assert task.done() is not goes_on
        gate.set()
        await until(task.done, "the pass ends")
        assert isinstance(exchange.error, CallerLeft) is not goes_on
        assert happened == ["+a", "+b", "-b", "-a"]

    asyncio.run(passed())


def test_a_pass_that_is_stopped_before_its_task_begins_is_answered_all_the_same() -> None:
    happened: Happened = []

    async def passed() -> WrittenDown:
        writer = WrittenDown()
        stages = Stages([AnswerErrors(), Noted("a", happened, lambda: Wait(later(Reply(200, b"{}"))))])
        request = RequestPass(stages, bare_exchange(writer), asyncio.get_running_loop())
        task = request.run()
        assert task
        request.stop(NotFound("Not here."))
        await task
        return writer

    writer = asyncio.run(passed())
    assert happened == ["+a", "-a"]
    assert writer.status == 404
