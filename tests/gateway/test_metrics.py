"""What is measured of a request, and what is not."""

from prometheus_client import REGISTRY

from shared.ports.upstream import OutgoingRequest
from tests.fakes import FakeResponse
from tests.gateway.answers import WHOLE
from tests.gateway.conftest import COMPLETION, World

ROUTE = {"route": "chat_completions"}
OF_A_MODEL = {**ROUTE, "model": "small"}


def seconds(name: str, labels: dict[str, str] = ROUTE) -> tuple[float, float]:
    """How many were measured, and their sum."""
    count, total = (REGISTRY.get_sample_value(f"omni_{name}_{what}", labels) for what in ("count", "sum"))
    return count or 0, total or 0


def test_the_overhead_of_a_request_leaves_out_what_its_upstream_took(world: World) -> None:
    def slow(_: OutgoingRequest) -> FakeResponse:
        world.clock.advance(5)
        return FakeResponse.json(COMPLETION)

    world.answers(slow)
    before = seconds("overhead_seconds"), seconds("request_duration_seconds", OF_A_MODEL)
    assert world.chat().status_code == 200
    after = seconds("overhead_seconds"), seconds("request_duration_seconds", OF_A_MODEL)
    assert [now[0] - then[0] for now, then in zip(after, before, strict=True)] == [1, 1]
    assert [round(now[1] - then[1], 3) for now, then in zip(after, before, strict=True)] == [0, 5]


def test_what_no_upstream_was_asked_for_has_no_overhead(world: World) -> None:
    world.answers(lambda _: FakeResponse.json(WHOLE))
    world.chat(temperature=0)
    before = seconds("overhead_seconds")
    assert world.chat(temperature=0).headers["x-omni-cache"] == "hit"
    assert world.chat(model="none").status_code == 404
    assert seconds("overhead_seconds") == before
