"""The bill: its lines, and the counted operations it is made of."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.__main__ import omni
from deploy import cost
from deploy.cost import IDLE_TAIL_S, Line, Load, Setup
from deploy.measure import Stack, operations
from functions.gateway import track_usage
from tests.machine import free_port
from tests.stack.running import RunningStack

NOBODY = Load(0, 300, 0, 0, tokens_per_second=1000, stream_tokens_per_second=30)
SETUP = Setup(schedules=5, secrets=4)


def bill(load: Load, setup: Setup = SETUP) -> dict[str, Line]:
    lines = cost.bill(load, setup, cost.read("prices.toml"), cost.read("operations.toml"))
    return {line.name: line for line in lines}


def together(load: Load, setup: Setup = SETUP) -> float:
    return sum(line.usd for line in bill(load, setup).values())


def test_while_nobody_calls_there_is_no_worker_and_no_gateway() -> None:
    lines = bill(NOBODY)
    assert lines["Worker: nvidia-l4"].usd == lines["Gateway: while a request runs"].usd == 0
    assert together(NOBODY) < 3


def test_a_lone_call_pays_for_the_start_and_the_idle_tail() -> None:
    seconds = cost.worker_seconds(replace(NOBODY, requests_per_day=1), SETUP)
    assert seconds == pytest.approx(IDLE_TAIL_S + cost.START_S, rel=0.02)


def test_a_worker_is_never_up_for_longer_than_a_day_has_unless_one_is_not_enough() -> None:
    assert cost.worker_seconds(replace(NOBODY, requests_per_day=10_000), SETUP) == pytest.approx(cost.DAY_S, rel=0.01)
    assert cost.worker_seconds(replace(NOBODY, requests_per_day=1_000_000), SETUP) > 5 * cost.DAY_S


@pytest.mark.parametrize("field", ["requests_per_day", "jobs_per_day", "job_seconds", "tokens"])
def test_more_of_anything_costs_more(field: str) -> None:
    load = replace(NOBODY, requests_per_day=1000, jobs_per_day=1000, job_seconds=80_000)
    assert together(replace(load, **{field: 100 * getattr(load, field)})) > together(load)


def test_redis_and_instances_that_stay_are_lines_of_their_own() -> None:
    lines = bill(NOBODY, replace(SETUP, redis="basic", gateway_min_instances=1))
    assert lines["Redis, basic"].usd > 30
    assert lines["Gateway: instances that always stay"].usd > 40


def test_the_table_shows_three_sizes_and_says_what_it_assumes() -> None:
    shown = CliRunner().invoke(omni, ["cost"]).stdout
    assert all(text in shown for text in ("0 A DAY", "10,000 A DAY", "1,000,000 A DAY", "Together", "is assumed"))


def test_every_price_says_where_it_was_read_or_the_table_says_that_it_was_not() -> None:
    prices = cost.read("prices.toml")
    assert prices["source"].keys() == prices["unit"].keys()
    assert {name for name, source in prices["source"].items() if not source} == {"redis_gb_second"}
    assert "From memory" not in CliRunner().invoke(omni, ["cost"]).stdout
    shown = CliRunner().invoke(omni, ["cost", "--env", "prod"]).stdout
    assert "From memory, checked against no list: the price of Redis, highly available." in shown


@pytest.mark.stack
@pytest.mark.timeout(400)
def test_the_operations_are_what_a_running_platform_does(tmp_path: Path) -> None:
    """Counted anew, on fewer requests and jobs."""
    counted = cost.read("operations.toml")
    with RunningStack(tmp_path / "state", free_port()) as running:
        env = dict(line.split("=", 1) for line in (tmp_path / "state" / "dev.env").read_text().splitlines())
        ports = json.loads((tmp_path / "state" / "ports.json").read_text())
        pages = tuple(f"http://127.0.0.1:{port}/metrics" for port in ports.values())
        stack = Stack(running.base_url, env["OMNI_API_KEY"], "smollm2-135m-instruct", pages)
        found = operations(stack, times=5)
    assert found == {name: counted[name] for name in found}, "python -m deploy.measure"


def test_requests_that_come_together_share_a_document_of_rows() -> None:
    assert cost.documents_of_rows(100) == pytest.approx(100, rel=0.001)
    assert cost.documents_of_rows(1_000_000) < 200_000
    assert cost.ROWS_WAIT_S == track_usage.PAUSE_S
