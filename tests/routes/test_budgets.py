"""Jobs and batches of callers with a budget."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.core.budgets import Budget
from tests.routes.conftest import ACME, Routes, problem
from tests.routes.test_files import kept

JOBS = "/internal/api/v1/jobs"
INPUT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}
ASKED: dict[str, Any] = {"task": "chat_completions", "model": "m", "input": INPUT}
POOR = replace(ACME, budget=Budget(daily=10_000_000))
"""A cent a day."""
MODELS = """
[[model]]
id = "m"
upstreams = [{ worker = true }]
price = { output = 80 }

[[model]]
id = "unpriced"
upstreams = [{ worker = true }]
"""


@pytest.fixture
def priced(tmp_path: Path) -> Routes:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Routes(tmp_path, internal=True, models_file=models)


def test_202_then_429_when_the_budget_has_no_room(priced: Routes) -> None:
    statuses = [priced.call("POST", JOBS, POOR, json=ASKED).status_code for _ in range(3)]
    assert statuses == [202, 202, 429]
    refused = priced.call("POST", JOBS, POOR, json=ASKED)
    assert problem(refused) == (429, "budget_exceeded", None)
    assert refused.headers["x-omni-budget"] == "key daily"
    assert refused.headers["retry-after"] == "1"
    assert priced.call("POST", JOBS, ACME, json=ASKED).status_code == 202


def test_403_for_a_model_without_a_price(priced: Routes) -> None:
    refused = priced.call("POST", JOBS, POOR, json=ASKED | {"model": "unpriced"})
    assert problem(refused) == (403, "price_unknown", "model")
    assert priced.call("POST", JOBS, ACME, json=ASKED | {"model": "unpriced"}).status_code == 202


def test_a_job_that_could_cost_more_than_all_there_is_may_run_alone(priced: Routes) -> None:
    dear = ASKED | {"input": INPUT | {"max_tokens": 1000}}
    assert [priced.call("POST", JOBS, POOR, json=dear).status_code for _ in range(2)] == [202, 429]


def test_a_batch_is_taken_and_reserves_once_its_file_is_read(routes: Routes) -> None:
    wanted = {"input_file_id": kept(routes), "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    assert routes.call("POST", "/internal/v1/batches", POOR, json=wanted).status_code == 200
