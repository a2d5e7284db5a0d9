"""A request that ended an engine is refused from then on, by every worker; others are not blamed for it."""

import asyncio
from typing import Any

import pytest

from jobs.ml_worker.engines.blocklist import KEPT_S, Blocklist
from jobs.ml_worker.engines.running_calls import RunningCalls
from shared.core.errors import InvalidRequest, OmniError, Unavailable, UpstreamFailed
from shared.ports.upstream import BrokenOff
from tests.fakes import FakeClock, FakeStore

GRAMMAR: dict[str, Any] = {"messages": [], "grammar": "root ::= a"}
TOOLS: dict[str, Any] = {"messages": [], "tools": [{"type": "function"}]}
PLAIN: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "seed": 1}
OTHER: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
CRASHED = "llama.cpp ended with status -11."
KILLED = "llama.cpp ended with status -9."


class Machine:
    """Workers that share a store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.blocklist = Blocklist(self.store, self.clock)

    def ends(self, *calls: dict[str, Any], how: str = CRASHED, stalled: bool = False) -> list[OmniError]:
        """What each of the calls is told when their engine ends."""
        return asyncio.run(self._ends(calls, how, stalled=stalled))

    async def _ends(self, calls: tuple[dict[str, Any], ...], how: str, *, stalled: bool) -> list[OmniError]:
        running, broken = RunningCalls(self.blocklist), asyncio.Event()

        async def run(call: dict[str, Any]) -> None:
            async with running.run(call):
                await broken.wait()
                raise UpstreamFailed from BrokenOff()

        tasks = [asyncio.create_task(run(call)) for call in calls]
        await asyncio.sleep(0)
        broken.set()
        await running.end(how, stalled=stalled)
        return [each for each in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(each, OmniError)]

    def answers(self, call: dict[str, Any]) -> None:
        async def answer() -> None:
            async with RunningCalls(self.blocklist).run(call):
                pass

        asyncio.run(answer())

    def blocks(self, call: dict[str, Any]) -> bool:
        try:
            self.blocklist.require_harmless(call)
        except InvalidRequest:
            return True
        return False


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize(("call", "field"), [(GRAMMAR, "response_format"), (TOOLS, "tools")])
@pytest.mark.parametrize("how", [CRASHED, KILLED])
def test_a_constraint_that_ended_an_engine_is_refused_and_named(
    machine: Machine, call: dict[str, Any], field: str, how: str
) -> None:
    (told,) = machine.ends(call, how=how)
    assert (told.status, told.code, told.param) == (400, "schema_too_complex", field)
    with pytest.raises(InvalidRequest):
        machine.answers({**call, "messages": [{"role": "user", "content": "another prompt"}]})


def test_who_was_there_as_well_is_told_to_come_again(machine: Machine) -> None:
    blamed, other = machine.ends(GRAMMAR, PLAIN, stalled=True)
    assert isinstance(blamed, InvalidRequest)
    assert isinstance(other, Unavailable)
    assert not machine.blocks(PLAIN)


def test_a_constraint_that_has_been_answered_is_not_to_blame(machine: Machine) -> None:
    machine.answers(GRAMMAR)
    machine.ends(GRAMMAR, TOOLS)
    assert (machine.blocks(GRAMMAR), machine.blocks(TOOLS)) == (False, True)


def test_a_plain_request_is_blamed_when_it_crashed_the_engine_alone(machine: Machine) -> None:
    (told,) = machine.ends(PLAIN)
    assert (told.status, told.code) == (400, "request_blocked")
    assert machine.blocks({**PLAIN, "seed": 2})


def test_an_engine_that_was_killed_from_outside_says_nothing_against_a_plain_request(machine: Machine) -> None:
    (told,) = machine.ends(PLAIN, how=KILLED)
    assert isinstance(told, UpstreamFailed)
    assert not machine.blocks(PLAIN)


def test_a_plain_request_that_was_there_twice_is_blamed(machine: Machine) -> None:
    machine.ends(PLAIN, OTHER)
    assert not machine.blocks(PLAIN)
    machine.ends(PLAIN)
    assert (machine.blocks(PLAIN), machine.blocks(OTHER)) == (True, False)


def test_a_call_whose_caller_left_is_still_to_blame(machine: Machine) -> None:
    async def left() -> None:
        running = RunningCalls(machine.blocklist)

        async def run() -> None:
            async with running.run(GRAMMAR):
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await running.end("", stalled=True)

    asyncio.run(left())
    assert machine.blocks(GRAMMAR)


def test_another_worker_and_the_next_one_know_of_it_and_forget_it_after_a_week(machine: Machine) -> None:
    machine.ends(GRAMMAR)
    machine.blocklist = Blocklist(machine.store, machine.clock)

    async def read() -> None:
        keeping_up = asyncio.create_task(machine.blocklist.keep_up())
        while not machine.blocklist._until:  # noqa: ASYNC110  (it goes on for ever)
            await asyncio.sleep(0)
        keeping_up.cancel()

    assert not machine.blocks(GRAMMAR)
    asyncio.run(read())
    assert machine.blocks(GRAMMAR)
    machine.clock.advance(KEPT_S + 1)
    assert not machine.blocks(GRAMMAR)


def test_nothing_of_a_request_is_kept_but_its_digest(machine: Machine) -> None:
    machine.ends({**PLAIN, "grammar": "root ::= CANARY"})
    assert "CANARY" not in str(machine.store.documents)
