"""Keeps the processes of the local stack running until it is told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from local.guard import Guard
from local.journal import Journal
from local.process import Process, Program

Probe = Callable[[str], Awaitable[bool]]
"""Whether an address answers that its process is ready."""


class StartFailed(Exception):
    """A process ended again and again before it could be used even once."""

    def __init__(self, name: str, attempts: int) -> None:
        super().__init__(f"{name} ended {attempts} times before it was ready")
        self.name = name


@dataclass(frozen=True, slots=True)
class Patience:
    """How the supervisor waits; every field in seconds but `attempts`."""

    attempts: int = 3
    """Ends before a process was ready once after which the start is given up."""
    first_delay: float = 0.2
    longest_delay: float = 10.0
    steady: float = 10.0
    """A process that ran this long begins again with the first delay."""
    poll: float = 0.1
    reminder: float = 15.0
    """How often a long start says what it waits for."""


class Supervisor:
    """Runs programs, given in the order in which they are stopped."""

    def __init__(
        self,
        programs: Sequence[Program],
        journal: Journal,
        guard: Guard,
        probe: Probe,
        patience: Patience | None = None,
    ) -> None:
        self._programs = programs
        self._journal = journal
        self._guard = guard
        self._probe = probe
        self._patience = patience or Patience()
        self._processes: dict[str, Process] = {}
        self._answered: set[Process] = set()
        self._are_ready = False

    async def run(self, announce: Callable[[], None]) -> None:
        """Until a stop signal; calls `announce` once all are ready. StartFailed when one cannot be started."""
        stop = asyncio.create_task(_stop_signal())
        ready = asyncio.create_task(self._when_ready(announce))
        keepers = [asyncio.create_task(self._keep(program)) for program in self._programs]
        try:
            await _first_end(stop, ready, keepers)
        finally:
            for task in (stop, ready, *keepers):
                task.cancel()
            await asyncio.gather(stop, ready, *keepers, return_exceptions=True)
            await self._stop()

    async def _keep(self, program: Program) -> None:
        loop, delay, ends = asyncio.get_running_loop(), self._patience.first_delay, 0
        while True:
            began = loop.time()
            code = await self._run_once(program)
            ends += 1
            if not self._are_ready and ends == self._patience.attempts:
                raise StartFailed(program.name, ends)
            if loop.time() - began >= self._patience.steady:
                delay = self._patience.first_delay
            self._journal.note(f"{program.name} {_how_it_ended(code)}; starting it again in {delay:g} s", "WARNING")
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._patience.longest_delay)

    async def _run_once(self, program: Program) -> int:
        self._journal.begin(program.name)
        process = await Process.start(program, lambda line: self._journal.hear(program.name, line))
        self._processes[program.name] = process
        self._watch()
        self._journal.note(f"{program.name} started as process {process.group}")
        try:
            return await process.ended()
        finally:
            self._watch()

    async def _when_ready(self, announce: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        reminder_at = loop.time() + self._patience.reminder
        while waiting := [program for program in self._programs if not await self._is_ready(program)]:
            if loop.time() >= reminder_at:
                self._journal.note("still waiting for " + ", ".join(program.name for program in waiting))
                reminder_at += self._patience.reminder
            await asyncio.sleep(self._patience.poll)
        self._are_ready = True
        announce()

    async def _is_ready(self, program: Program) -> bool:
        process = self._processes.get(program.name)
        if process is None or not process.is_running:
            return False
        if program.ready_url and process not in self._answered:
            if not await self._probe(program.ready_url):
                return False
            self._answered.add(process)
        return True

    async def _stop(self) -> None:
        self._journal.note("stopping")
        for program in self._programs:
            if process := self._processes.pop(program.name, None):
                await process.stop(program.grace_s)
                self._watch()

    def _watch(self) -> None:
        self._guard.watch(process.group for process in self._processes.values() if process.is_running)


async def _stop_signal() -> None:
    received = asyncio.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, received.set)
    await received.wait()


async def _first_end(stop: asyncio.Task[None], ready: asyncio.Task[None], keepers: list[asyncio.Task[None]]) -> None:
    """Returns on a stop signal; raises what ended a keeper, or the announcement."""
    running = {stop, ready, *keepers}
    while not stop.done():
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
