"""The most that a request can cost, from what it asks for."""

from typing import Any

import msgspec
import pytest

from functions.gateway.body import inference
from shared.core.pricing import Price
from shared.core.routing import Model, UpstreamTarget
from shared.money.worst_case import most_output, worst_cost
from shared.surfaces.input_size import InputSize, measure

OWN = (UpstreamTarget("worker", "m"),)
OTHER = (UpstreamTarget("https://x/v1", "m"),)


def most(fields: dict[str, Any], upstreams: tuple[UpstreamTarget, ...] = OTHER, **model: Any) -> int:
    asked = inference(msgspec.json.encode({"model": "m", **fields}), 64)
    return most_output(Model("m", upstreams, frozenset(), **model), asked, 1024)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 10}, 10),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 20),
        ({"max_tokens": 10, "n": 3}, 30),
        ({"max_tokens": 10, "n": 2, "best_of": 5}, 50),
        ({"max_tokens": 10, "prompt": "one"}, 10),
        ({"max_tokens": 10, "prompt": ["one", "two"]}, 20),
        ({"max_tokens": 10, "prompt": [1, 2, 3]}, 10),
        ({"max_tokens": 10, "prompt": [[1, 2], [3]]}, 20),
        ({"max_tokens": 10, "prompt": []}, 10),
        ({"max_tokens": 10, "n": 2, "prediction": "12345678"}, 40),
        ({"max_tokens": 10**9}, 1_000_000),
        ({}, 1_000_000),
    ],
)
def test_what_is_asked_for_bounds_the_answer(fields: dict[str, Any], tokens: int) -> None:
    assert most(fields) == tokens


@pytest.mark.parametrize("unbounded", [{}, {"max_tokens": None}])
def test_without_a_bound_the_model_s_counts_or_the_worker_s_default(unbounded: dict[str, Any]) -> None:
    assert most(unbounded, context=8000) == 8000
    assert most(unbounded, context=8000, max_output=500) == 500
    assert most(unbounded, OWN, context=8000) == 1024
    assert most(unbounded, OWN + OTHER, context=8000) == 8000


def test_every_byte_may_be_a_token() -> None:
    model = Model("m", OWN, frozenset())
    asked = inference(b'{"model":"m","max_tokens":10}', 64)
    assert worst_cost(Price(input=1000, output=2000, cached=3000), model, asked, InputSize(100), 1024, 600) == 300 + 20
    assert worst_cost(Price(second=1000), model, asked, InputSize(100), 1024, 600) == 600


@pytest.mark.parametrize(
    ("prompt", "contexts"), [("x" * 500, 1), (["x" * 250] * 2, 2), (["x" * 100] * 5, 5), ([[1, 2] * 40] * 3, 3)]
)
def test_each_of_several_prompts_may_fill_the_context(prompt: Any, contexts: int) -> None:
    body = msgspec.json.encode({"model": "m", "max_tokens": 10, "prompt": prompt})
    model = Model("m", OTHER, frozenset(), context=100)
    size = measure(inference(body, 64), len(body), model)
    assert size.most(model.context) == contexts * 100
    assert size.estimated(model.context) == min(len(body) // 4, contexts * 100)
    assert worst_cost(Price(input=1000), model, inference(body, 64), size, 1024, 600) == contexts * 100
