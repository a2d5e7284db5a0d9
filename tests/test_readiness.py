"""Readiness tells the truth, and nobody can wear a service out by asking for it."""

import threading
from concurrent.futures import ThreadPoolExecutor

from shared.core.errors import Unavailable
from shared.readiness import OK, SILENT, Remembered
from tests.fakes import FakeClock
from tests.waiting import wait_until


class Service:
    """Counts how often it is asked; may be down, or not answer before it is let go on."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_down = False
        self.answers = threading.Event()
        self.answers.set()

    def ping(self) -> None:
        self.asked += 1
        self.answers.wait(10)
        if self.is_down:
            raise Unavailable("It is down.")


def test_a_thousand_callers_cost_the_service_one_look_a_second() -> None:
    service, clock = Service(), FakeClock()
    check = Remembered(service.ping, clock)
    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(lambda _: check(), range(1000))) == {OK}
    assert service.asked == 1
    clock.advance(1.1)
    assert check() == OK
    assert service.asked == 2


def test_an_outage_is_told_and_so_is_its_end() -> None:
    service, clock = Service(), FakeClock()
    check = Remembered(service.ping, clock)
    states = []
    for is_down in (False, True, False):
        service.is_down = is_down
        clock.advance(1.1)
        states.append(check())
    assert states == [OK, "It is down.", OK]


def test_one_caller_waits_for_a_silent_service_and_the_others_are_told() -> None:
    service, clock = Service(), FakeClock()
    check = Remembered(service.ping, clock)
    assert check() == OK
    clock.advance(1.1)
    service.answers.clear()
    with ThreadPoolExecutor(1) as waiting:
        first = waiting.submit(check)
        wait_until(lambda: service.asked == 2, description="the service is asked")
        assert check() == OK
        clock.advance(3)
        assert [check() for _ in range(3)] == [SILENT] * 3
        service.answers.set()
        assert first.result() == OK
    assert service.asked == 2
