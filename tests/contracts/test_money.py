"""Ledgers and usage on every store: what is written there is read again as it was, and in the order it is asked for."""

from dataclasses import replace
from typing import Any

from shared.core.budgets import Ask, Budget, day_of
from shared.core.usage import UsageRow
from shared.money.ledgers import Ledgers
from shared.money.usage import ROWS, UsageRecords
from shared.ports.store import Store
from shared.sweeps.sweep import Sweeps
from tests.fakes import FakeClock

DAY = "2026-11-24"
ASK = Ask("tenant:acme", DAY[:7], Budget(100), DAY, DAY, 1, 0, 0, 0, keeps_short=False, least=30, most=30)


def row(**fields: Any) -> UsageRow:
    plain = UsageRow(1_796_126_400.0, "r", "acme", "k", "chat_completions", "org/m", 200, 10, 0, 5, 7, 1.5)
    return plain._replace(**fields)


def test_a_ledger_is_kept_as_it_was(store: Store) -> None:
    one, other = Ledgers(store), Ledgers(store)
    assert one.exchange(ASK).granted == 30
    assert one.exchange(ASK).granted == 30
    assert other.exchange(replace(ASK, least=80, most=80)).granted == 70
    assert other.exchange(replace(ASK, number=2, block=70, used=65, least=0, most=0)).free == 5
    ledger = one.get("tenant:acme", "2026-11")
    assert ledger.spent == {"2026-11-24": 65}
    assert sorted(lease.amount for lease in ledger.leases.values()) == [0, 30]
    assert one.get("tenant:acme", "2026-12").spent == {}


def test_usage_is_summed_once(store: Store, clock: FakeClock) -> None:
    records = UsageRecords(store, 30)
    records.add("a", [row(), row(cost=None), row(tenant="rival", model="other")])
    records.add("a", [row()])
    day = day_of(row().at)
    before = records.sums(day, day, None)
    assert {(whose.tenant, whose.model): sums.requests for whose, sums in before.items()} == {
        ("acme", "org/m"): 2,
        ("rival", "other"): 1,
    }
    sweeps = Sweeps(store, clock, 5)
    assert records.roll_up(sweeps.begin("usage_rollup", ROWS)).changed == 1
    assert records.roll_up(sweeps.begin("usage_rollup", ROWS)).changed == 0
    assert records.sums(day, day, None) == before
    assert [whose.tenant for whose in records.sums(day, day, "acme")] == ["acme"]
    assert records.sums("2026-01-01", "2026-01-31", None) == {}
