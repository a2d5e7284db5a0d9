"""Budgets at the gateway: reserved before, settled after, refused with a reason."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from shared.core.budgets import Budget
from shared.core.errors import Unavailable
from shared.core.pricing import NANO
from shared.ports.store import Transaction
from tests.fakes import FakeClock, FakeResponse, FakeStore
from tests.gateway.answers import DONE, STREAM, USAGE, WHOLE
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import CATALOGUE, COMPLETION, World, problem
from tests.managed_keys import KeyOffice

T = TypeVar("T")

PRICED = CATALOGUE.replace('id = "small"', 'id = "small"\nprice = { per_request = 0.4 }')
"""Each answer costs 40 cents, so a dollar is good for three."""
BY_TOKEN = CATALOGUE.replace('id = "small"', 'id = "small"\nprice = { output = 1000 }')
"""A tenth of a cent each; an answer has 5."""
TENANT = "[limits.tenants.acme]\nbudget = { daily_usd = 1, monthly_usd = 1.5 }\n"
NOON = 1_800_014_400.0
"""2027-01-15, twelve o'clock UTC."""


def make(tmp_path: Path, catalogue: str, **settings: Any) -> World:
    path = tmp_path / "priced.toml"
    path.write_text(catalogue)
    world = World(tmp_path, models_file=path, **settings)
    world.clock.time = NOON
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make(tmp_path, PRICED + TENANT)


def statuses(world: World, count: int, **fields: Any) -> list[int]:
    return [world.chat(**fields).status_code for _ in range(count)]


def spent(world: World, subject: str = "tenant:acme", month: str = "2027-01") -> float:
    """Dollars in the ledger, as an instance that has gone for good leaves them."""
    document = world.store.documents["budgets", f"{subject}:{month}"]
    amounts: list[int] = [*document["spent"].values(), *(lease["amount"] for lease in document["leases"].values())]
    return sum(amounts) / NANO


def test_a_budget_is_good_for_its_money_and_one_answer_more(world: World) -> None:
    assert statuses(world, 5) == [200, 200, 200, 429, 429]
    assert spent(world) == pytest.approx(1.2)


def test_a_refusal_says_which_budget_and_when_it_begins_anew(world: World) -> None:
    statuses(world, 3)
    refused = world.chat()
    assert problem(refused) == (429, "budget_exceeded", None)
    assert refused.json()["error"]["type"] == "insufficient_quota"
    assert "The daily budget of $1 of this tenant is spent. It begins anew at 2027-01-16T00:00:00Z." in refused.text
    told = {name: value for name, value in refused.headers.items() if "budget" in name or "retry" in name}
    assert told == {
        "x-omni-budget": "tenant daily",
        "x-omni-budget-limit-usd": "1",
        "x-omni-budget-spent-usd": "1.2",
        "x-omni-budget-reset": "2027-01-16T00:00:00Z",
        "retry-after": str(12 * 3600),
        "x-should-retry": "false",
    }
    assert len(world.upstream.requests) == 3


def test_the_next_day_has_its_own_budget_and_the_month_goes_on(world: World) -> None:
    assert statuses(world, 4)[-1] == 429
    world.clock.advance(12 * 3600)
    assert statuses(world, 2) == [200, 429]
    assert world.chat().headers["x-omni-budget"] == "tenant monthly"
    world.clock.advance(17 * 86_400)
    assert world.chat().status_code == 200


def test_a_managed_key_has_its_own_budget(tmp_path: Path) -> None:
    world = make(tmp_path, PRICED)
    office = KeyOffice(world.store)
    key_id, key = office.new(budget=Budget(daily=NANO // 2))
    assert [world.chat(key).status_code for _ in range(3)] == [200, 200, 429]
    assert world.chat().status_code == 200
    office.change(key_id, budget=Budget(daily=2 * NANO))
    world.clock.advance(5)
    assert world.chat(key).status_code == 200


def test_a_tier_s_budget_is_for_keys_without_one(tmp_path: Path) -> None:
    world = make(tmp_path, PRICED, tier_budgets="premium.daily_usd=0.5")
    office = KeyOffice(world.store)
    _, unbound = office.new(budget=Budget())
    assert statuses(world, 3) == [200, 200, 429]
    assert [world.chat(unbound).status_code for _ in range(4)] == [200] * 4
    assert world.chat("free-key-ann-1").status_code == 200


def test_a_key_and_its_tenant_both_pay(tmp_path: Path) -> None:
    world = make(tmp_path, PRICED + TENANT, tier_budgets="premium.daily_usd=100")
    assert statuses(world, 4) == [200, 200, 200, 429]
    assert world.chat().headers["x-omni-budget"] == "tenant daily"


def test_without_a_price_nobody_with_a_budget_gets_an_answer(world: World) -> None:
    refused = world.chat(model="elsewhere")
    assert problem(refused) == (403, "price_unknown", "model")
    assert "'elsewhere'" in refused.text
    assert world.chat("free-key-ann-1", model="elsewhere").status_code == 200


def test_what_costs_nothing_needs_no_budget(tmp_path: Path) -> None:
    free = PRICED.replace("0.4", "0")
    world = make(tmp_path, free + TENANT.replace("daily_usd = 1", "daily_usd = 0"))
    assert statuses(world, 2) == [200, 200]
    assert not [key for key in world.store.documents if key[0] == "budgets"]


def test_refused_and_failed_requests_cost_nothing(world: World) -> None:
    world.answers(lambda _: FakeResponse.json({"error": {"message": "no"}}, 400))
    assert statuses(world, 5) == [400] * 5
    world.answers(lambda _: FakeResponse.json(COMPLETION))
    assert statuses(world, 4) == [200, 200, 200, 429]


def test_answers_that_are_there_already_cost_nothing(world: World) -> None:
    world.answers(lambda _: FakeResponse.json(WHOLE))
    assert statuses(world, 5, temperature=0) == [200] * 5
    assert statuses(world, 3) == [200, 200, 429]


def test_only_one_of_many_at_once_may_exceed_a_budget(tmp_path: Path) -> None:
    """Each could cost a dollar, and does not: the first one has to settle before there is room for another."""
    world = make(tmp_path, BY_TOKEN + TENANT)
    upstream = GatedUpstream(lambda _: FakeResponse.json(COMPLETION))
    world.upstream.send = upstream.send  # type: ignore[method-assign]

    async def run() -> list[Call]:
        calls = [Call(world, {"max_tokens": 1000}) for _ in range(8)]
        await until(lambda: sum(call.task.done() for call in calls) == 7, "all but one are refused")
        upstream.open()
        return [await call.done() for call in calls]

    calls = asyncio.run(run())
    assert sorted(call.status for call in calls) == [200] + [429] * 7
    refused = next(call for call in calls if call.status == 429)
    assert b"reserved by requests under way" in refused.body
    assert refused.headers["retry-after"] == "1"
    assert "x-should-retry" not in refused.headers
    world.clock.advance(2)
    assert world.chat(max_tokens=1000).status_code == 200


def test_many_at_once_that_fit_all_run(tmp_path: Path) -> None:
    world = make(tmp_path, BY_TOKEN + TENANT)

    async def run() -> list[int]:
        return [(await call.done()).status for call in [Call(world, {"max_tokens": 50}) for _ in range(16)]]

    assert asyncio.run(run()) == [200] * 16


def test_a_caller_who_leaves_pays_for_what_came(tmp_path: Path) -> None:
    world = make(tmp_path, BY_TOKEN + TENANT)
    upstream = GatedUpstream(lambda _: FakeResponse.stream(*STREAM, USAGE, DONE))
    world.upstream.send = upstream.send  # type: ignore[method-assign]

    async def run() -> None:
        call = Call(world, {"stream": True, "max_tokens": 900})
        for _ in range(3):
            upstream.gate.release()
        await until(lambda: len(call.parts) == 3, "three parts")
        call.leave()
        await call.done()
        await until(lambda: spent(world) < 0.01, "the rest is given back")

    asyncio.run(run())
    assert spent(world) == pytest.approx(0.003)


class FlakyStore(FakeStore):
    """May be out of reach, before or after it has done what it was asked."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.is_down = False
        self.loses_answers = False
        self.transactions = 0

    def transact(self, work: Callable[[Transaction], T]) -> T:
        self.transactions += 1
        if self.is_down:
            raise Unavailable
        done = super().transact(work)
        if self.loses_answers:
            raise Unavailable
        return done


def flaky(tmp_path: Path, catalogue: str) -> tuple[World, FlakyStore]:
    clock = FakeClock(NOON)
    store = FlakyStore(clock)
    world = make(tmp_path, catalogue, store=store)
    world.clock = store._clock = world.clock
    world.store = store
    return world, store


def test_without_the_store_what_was_leased_may_be_spent_and_no_more(tmp_path: Path) -> None:
    world, store = flaky(tmp_path, PRICED + TENANT.replace("daily_usd = 1,", "daily_usd = 10,").replace("1.5", "100"))
    statuses(world, 2)
    leased = spent(world)
    store.is_down = True
    found = statuses(world, 20)
    assert found[-1] == 503
    assert (2 + found.count(200)) * 0.4 <= leased + 1e-9
    refused = world.chat()
    assert problem(refused) == (503, "budget_unavailable", None)
    assert refused.headers["retry-after"] == "1"
    store.is_down = False
    world.clock.advance(1.1)
    assert world.chat().status_code == 200


def test_a_strict_budget_is_closed_without_the_store(tmp_path: Path) -> None:
    strict = TENANT.replace("budget", "strict = true\nbudget").replace("daily_usd = 1,", "daily_usd = 100,")
    world, store = flaky(tmp_path, PRICED + strict.replace("1.5", "100"))
    assert statuses(world, 2) == [200, 200]
    store.is_down = True
    world.clock.advance(12 * 3600)  # the lease ends with the day
    assert problem(world.chat()) == (503, "budget_unavailable", None)


def test_an_answer_of_the_store_that_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    world, store = flaky(tmp_path, PRICED + TENANT)
    store.loses_answers = True
    assert world.chat().status_code == 503
    store.loses_answers = False
    world.clock.advance(1.1)
    assert statuses(world, 4) == [200, 200, 200, 429]


def test_a_refusal_costs_the_store_next_to_nothing(tmp_path: Path) -> None:
    world, store = flaky(tmp_path, PRICED + TENANT)
    statuses(world, 4)
    before = store.transactions
    statuses(world, 100)
    assert store.transactions == before


@pytest.mark.parametrize(
    "text", ["free=1", "free.daily_usd", "gold.daily_usd=1", "free.daily=1", "free.daily_usd=-1", "free.daily_usd=x"]
)
def test_budgets_of_tiers_that_cannot_be_stop_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="OMNI_TIER_BUDGETS"):
        make(tmp_path, PRICED, tier_budgets=text)


def test_a_budget_that_cannot_be_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the budget of the tenant 'acme': `daily_usd`: -1"):
        make(tmp_path, PRICED + TENANT.replace("daily_usd = 1", "daily_usd = -1"))
