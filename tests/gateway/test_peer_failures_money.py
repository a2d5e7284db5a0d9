"""How other gateways lose their users' money, and that this one does not. Each test is named for the report."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.ports.upstream import BrokenOff
from tests.fakes import FakeResponse
from tests.gateway.answers import DONE, STREAM, USAGE, event
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import CATALOGUE, COMPLETION, World, problem
from tests.gateway.test_budgets import make, spent, statuses

TOKENS = CATALOGUE.replace('id = "small"', 'id = "small"\nprice = { input = 1000, output = 10000 }')
"""A cent for each token of an answer, a tenth of one for each of a request."""
REQUESTS = CATALOGUE.replace('id = "small"', 'id = "small"\nprice = { per_request = 0.4 }')
BUDGET = "[limits.tenants.acme]\nbudget = {{ daily_usd = {} }}\n"
ANSWER = 0.053
"""3 tokens in, 5 out."""


def budget(dollars: float) -> str:
    return BUDGET.format(dollars)


def test_litellm_26672_a_budget_is_checked_before_the_request_and_not_after_the_bill(tmp_path: Path) -> None:
    world = make(tmp_path, REQUESTS + budget(0.4))
    assert statuses(world, 3) == [200, 429, 429]
    assert len(world.upstream.requests) == 1


@pytest.mark.parametrize("at_once", [8, 50])
def test_litellm_34732_40095_requests_in_parallel_spend_the_budget_once(tmp_path: Path, at_once: int) -> None:
    """There, 8 at once spent 264,000 times the budget."""
    world = make(tmp_path, TOKENS + budget(0.00001))

    async def run() -> list[int]:
        return sorted([(await call.done()).status for call in [Call(world) for _ in range(at_once)]])

    assert asyncio.run(run()).count(200) == 1
    assert spent(world) <= 0.00001 + ANSWER


@pytest.mark.parametrize("number", [35524, 33923])
def test_litellm_without_a_price_a_budget_is_not_skipped(tmp_path: Path, number: int) -> None:
    world = make(tmp_path, TOKENS + budget(1))
    assert problem(world.chat(model="elsewhere")) == (403, "price_unknown", "model")
    assert world.upstream.requests == []


def test_litellm_33923_a_fallback_price_is_charged(tmp_path: Path) -> None:
    world = make(tmp_path, "[prices]\nfallback = { per_request = 0.4 }\n" + TOKENS + budget(0.5))
    assert statuses(world, 3, model="elsewhere") == [200, 200, 429]


def test_litellm_38647_a_key_that_asks_for_more_than_is_left_is_not_locked_out(tmp_path: Path) -> None:
    """A request that names no number of tokens could cost ten thousand dollars; it costs five cents."""
    world = make(tmp_path, TOKENS + budget(0.2))
    found = []
    for _ in range(6):
        found.append(world.chat().status_code)
        world.clock.advance(3)
    assert found == [200, 200, 200, 200, 429, 429]
    assert spent(world) == pytest.approx(4 * ANSWER)


@pytest.mark.parametrize("number", [37923, 30667, 35958])
@pytest.mark.parametrize("asks", [{}, {"stream_options": {"include_usage": True}}])
def test_litellm_streams_are_not_free(tmp_path: Path, number: int, asks: dict[str, Any]) -> None:
    world = make(tmp_path, TOKENS + budget(0.05))
    world.answers(lambda _: FakeResponse.stream(*STREAM, USAGE, DONE))
    answer = world.chat(stream=True, **asks)
    assert ": x-omni-cost-usd: 0.053\n" in answer.text
    assert world.chat(stream=True).status_code == 429


def test_litellm_30667_a_stream_whose_server_tells_no_usage_is_not_free(tmp_path: Path) -> None:
    world = make(tmp_path, TOKENS + budget(0.04))
    world.answers(lambda _: FakeResponse.stream(*STREAM, DONE))
    assert world.chat(stream=True).status_code == 200
    assert spent(world) >= len(STREAM) / 100
    assert world.chat(stream=True).status_code == 429


def test_litellm_35958_a_stream_that_breaks_off_is_not_free(tmp_path: Path) -> None:
    world = make(tmp_path, TOKENS + budget(0.03))
    world.answers(lambda _: FakeResponse.stream(*STREAM[:3], BrokenOff("reset")))
    assert world.chat(stream=True).status_code == 200
    assert spent(world) >= 0.03
    assert world.chat(stream=True).status_code == 429


def test_envoy_2394_a_stream_holds_its_money_while_it_runs(tmp_path: Path) -> None:
    """There it is counted at its end, so that streams that have begun share the same money. Here the first holds what
    it may cost and the second all the rest."""
    world = make(tmp_path, TOKENS + budget(1))
    upstream = GatedUpstream(lambda _: FakeResponse.stream(event({"content": "a"}), DONE))
    world.upstream.send = upstream.send  # type: ignore[method-assign]

    async def run() -> list[int]:
        calls = [Call(world, {"stream": True, "max_tokens": 60}) for _ in range(4)]
        await until(lambda: sum(call.task.done() for call in calls) == 2, "two are refused")
        upstream.open()
        return sorted([(await call.done()).status for call in calls])

    assert asyncio.run(run()) == [200, 200, 429, 429]


def test_a_price_of_nothing_is_nothing_and_no_price_is_not(world: World, tmp_path: Path) -> None:
    assert "x-omni-cost-usd" not in world.chat().headers
    priced = tmp_path / "priced"
    priced.mkdir()
    free = make(priced, REQUESTS.replace("0.4", "0"))
    free.answers(lambda _: FakeResponse.json(COMPLETION))
    assert free.chat().headers["x-omni-cost-usd"] == "0"
