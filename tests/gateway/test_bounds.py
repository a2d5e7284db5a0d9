"""What is reserved and limited is what is sent: nothing in a request makes an answer longer or dearer than that."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.core.budgets import Budget
from tests.fakes import FakeResponse
from tests.gateway.conftest import CATALOGUE, CHAT, World, problem
from tests.managed_keys import KeyOffice
from tests.surfaces.test_media import png

FREE, UNLIMITED = "free-key-ann-1", "master-key-root-1"
REMOVED = "x-omni-parameters-removed"
PRICED = CATALOGUE.replace('id = "elsewhere"', 'id = "elsewhere"\ncontext = 8000\nprice = { input = 1, output = 1000 }')


@pytest.fixture
def world(tmp_path: Path) -> World:
    path = tmp_path / "priced.toml"
    path.write_text(PRICED)
    return World(tmp_path, models_file=path, tier_budgets="free.daily_usd=0.05")


def send(world: World, key: str, content: bytes) -> httpx.Response:
    return world.request("POST", "/v1/chat/completions", key, content=content)


def sent(world: World) -> Any:
    return json.loads(world.upstream.requests[-1].body)


@pytest.mark.parametrize("field", ["n_predict", "max_new_tokens", "options", "Max_New_Tokens"])
def test_a_field_that_may_lengthen_the_answer_is_refused_for_a_budget_and_removed_for_a_limit(
    world: World, field: str
) -> None:
    asked = {"model": "elsewhere", "max_tokens": 1, field: 1000}
    assert problem(world.chat(FREE, **asked)) == (400, "unsupported_parameter", field)
    assert not world.upstream.requests
    response = world.chat("prod-key-acme-1", **asked)
    assert (response.status_code, response.headers[REMOVED]) == (200, field)
    assert sent(world) == CHAT | {"model": "big-1", "max_tokens": 1}


def test_names_that_are_none_are_not_told(world: World) -> None:
    assert world.chat("prod-key-acme-1", model="elsewhere", **{"a\r\nb": 1}).headers[REMOVED] == "(other)"


def test_what_stands_there_twice_is_sent_once_as_it_was_reserved(world: World) -> None:
    content = b'{"model":"alone","max_tokens":1000,"max_\\u0074okens":1,"messages":[]}'
    assert send(world, "prod-key-acme-1", content).status_code == 200
    assert world.upstream.requests[-1].body == b'{"model":"alone","max_tokens":1,"messages":[]}'


def test_a_dearer_answer_is_refused_to_who_has_a_budget(world: World) -> None:
    refused = world.chat(FREE, model="elsewhere", service_tier="priority")
    assert problem(refused) == (400, "unsupported_parameter", "service_tier")
    assert not world.upstream.requests
    assert world.chat("prod-key-acme-1", model="elsewhere", service_tier="priority").status_code == 200
    assert sent(world)["service_tier"] == "priority"


def test_without_a_budget_and_a_limit_the_callers_own_bytes_are_sent(world: World) -> None:
    content = b'{ "model" : "alone","n_predict":7, "n_predict":8,"messages":[] , "x":1e999}'
    assert REMOVED not in send(world, UNLIMITED, content).headers
    assert world.upstream.requests[-1].body == content


def test_our_own_worker_gets_the_callers_own_bytes(world: World) -> None:
    content = b'{ "model" : "small","n_predict":7,"messages":[]}'
    send(world, "prod-key-acme-1", content)
    assert world.upstream.requests[-1].body == content


def test_a_model_that_is_free_takes_any_field_of_a_caller_whose_budget_is_spent(tmp_path: Path) -> None:
    path = tmp_path / "free.toml"
    path.write_text(CATALOGUE.replace('id = "alone"', 'id = "alone"\nprice = { input = 0 }'))
    world = World(tmp_path, models_file=path)
    _, key = KeyOffice(world.store).new(budget=Budget(daily=0), tokens_per_minute=0)
    assert world.chat(key, model="alone", n_predict=7, service_tier="priority").status_code == 200
    assert sent(world)["n_predict"] == 7


def picture(content: bytes) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def test_pictures_are_limited_by_their_size_not_their_bytes(tmp_path: Path) -> None:
    world = World(tmp_path)
    large = picture(png(1024, 1024) + bytes(1_100_000))
    assert [world.chat(FREE, **large, max_tokens=50).status_code for _ in range(3)] == [200] * 3


def test_a_picture_whose_server_reports_no_usage_costs_its_tiles(tmp_path: Path) -> None:
    path = tmp_path / "priced.toml"
    path.write_text(CATALOGUE.replace('id = "small"', 'id = "small"\nprice = { input = 1 }'))
    world = World(tmp_path, models_file=path)
    world.answers(lambda _: FakeResponse.json({"choices": [{"message": {"content": "A cat."}}]}))
    response = world.chat("prod-key-acme-1", **picture(png(1024, 1024) + bytes(30_000)))
    assert float(response.headers["x-omni-cost-usd"]) == pytest.approx(765 / 10**6, abs=50 / 10**6)


def test_a_model_s_row_says_what_more_it_takes_and_how_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "row.toml"
    row = 'price = { input = 1 }\nimage_tokens = 256\naudio_tokens_per_second = 10\nparameters = ["enable_thinking"]'
    path.write_text(CATALOGUE.replace('id = "alone"', f'id = "alone"\n{row}'))
    world = World(tmp_path, models_file=path, tier_budgets="free.daily_usd=5")
    world.answers(lambda _: FakeResponse.json({"choices": [{"message": {"content": "A cat."}}]}))
    response = world.chat(FREE, model="alone", enable_thinking=False, **picture(png(1024, 1024)))
    assert sent(world)["enable_thinking"] is False
    assert float(response.headers["x-omni-cost-usd"]) == pytest.approx(256 / 10**6, abs=50 / 10**6)
