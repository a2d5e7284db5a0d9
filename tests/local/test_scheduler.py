"""The local Cloud Scheduler, on a clock that moves only when it sleeps."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from local.scheduler import Scheduler
from shared import manifest
from shared.manifest import Route
from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, UpstreamError
from tests.fakes import FakeClock, FakeResponse, FakeUpstream

START = datetime(2027, 1, 15, 8, 0, 30, tzinfo=UTC).timestamp()
Answer = Callable[[OutgoingRequest], FakeResponse | UpstreamError]


def _signed(url: str, body: bytes) -> tuple[str, str]:
    return "x-omni-caller", "signed"


class Enough(Exception):
    """The scene is over."""


def schedule(name: str = "sweep", cron: str = "* * * * *") -> Route:
    return Route(name, ("POST",), f"/schedules/{name}", "schedule", "Schedules", "…", cron=cron)


def called(answer: Answer, cron: str, times: int, routes_url: str = "http://routes") -> list[tuple[str, str]]:
    """When (minutes and seconds) and where the first calls of a schedule go."""
    clock, calls = FakeClock(START), []

    def noted(request: OutgoingRequest) -> FakeResponse | UpstreamError:
        calls.append((datetime.fromtimestamp(clock.now(), UTC).strftime("%H:%M:%S"), request.url))
        assert request.method == "POST"
        assert ("x-omni-caller", "signed") in request.headers
        return answer(request)

    async def sleep(seconds: float) -> None:
        if len(calls) == times:
            raise Enough
        clock.advance(seconds)

    scheduler = Scheduler(routes_url, FakeUpstream(noted), clock, _signed, sleep)
    with pytest.raises(ExceptionGroup) as ended:
        asyncio.run(scheduler.run([schedule(cron=cron)]))
    assert ended.group_contains(Enough)
    return calls


def fine(_request: OutgoingRequest) -> FakeResponse:
    return FakeResponse.json({"examined": 0})


def test_a_schedule_is_called_when_its_cron_says_so() -> None:
    url = "http://routes/internal/schedules/sweep"
    assert called(fine, "* * * * *", 3) == [("08:01:00", url), ("08:02:00", url), ("08:03:00", url)]
    assert [time for time, _ in called(fine, "*/15 * * * *", 2)] == ["08:15:00", "08:30:00"]


def test_the_address_may_hold_the_routes_name() -> None:
    ((_, url),) = called(fine, "* * * * *", 1, "https://{name}.example.org")
    assert url == "https://sweep.example.org/internal/schedules/sweep"


@pytest.mark.parametrize("failure", [ConnectFailed("refused"), BrokenOff("gone"), FakeResponse(503), FakeResponse(500)])
def test_a_call_that_fails_is_logged_and_the_next_comes_all_the_same(
    failure: FakeResponse | UpstreamError, caplog: pytest.LogCaptureFixture
) -> None:
    calls = called(lambda _: failure, "* * * * *", 3)
    assert [time for time, _ in calls] == ["08:01:00", "08:02:00", "08:03:00"]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3


def test_what_falls_into_a_long_call_is_left_out() -> None:
    clock, times = FakeClock(START), []

    def slow(_request: OutgoingRequest) -> FakeResponse:
        times.append(datetime.fromtimestamp(clock.now(), UTC).strftime("%H:%M"))
        clock.advance(150)
        return FakeResponse.json({})

    async def sleep(seconds: float) -> None:
        if len(times) == 2:
            raise Enough
        clock.advance(seconds)

    with pytest.raises(ExceptionGroup):
        asyncio.run(Scheduler("http://routes", FakeUpstream(slow), clock, _signed, sleep).run([schedule()]))
    assert times == ["08:01", "08:04"]


def test_every_schedule_of_the_manifest_has_a_cron_that_can_be_followed() -> None:
    schedules = [route for route in manifest.load() if route.kind == "schedule"]
    assert {"jobs_sweep", "jobs_reap"} <= {route.name for route in schedules}
    for route in schedules:
        called(fine, route.cron, 1)
