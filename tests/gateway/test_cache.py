"""The response cache: what a model has said before is given again, and many who ask at once make it say it once."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from functions.gateway.cache import Cache
from functions.gateway.kept_answers import KeptAnswers
from shared.catalogue import Catalogue
from shared.core.routing import Model, UpstreamTarget
from shared.ports.upstream import ConnectFailed
from tests.fakes import FakeClock, FakeResponse
from tests.gateway.answers import DONE, STREAM, WHOLE, answer, events, said, tokens_out
from tests.gateway.caching import CHAT_PATH, COLD, WITH_USAGE, Gone, asked, chat, outcomes
from tests.gateway.conftest import CHAT, World


@pytest.fixture
def cache() -> Gone:
    return Gone(1024 * 1024, FakeClock())


@pytest.fixture
def world(tmp_path: Path, cache: Gone) -> World:
    world = World(tmp_path, cache=cache)
    world.answers(answer)
    return world


# What is given again


def test_at_temperature_0_the_same_request_again_is_answered_without_the_model(world: World) -> None:
    first, second = chat(world), chat(world)
    assert outcomes(first, second) == ["miss", "hit"]
    assert second.content == first.content
    assert second.headers["content-type"] == "application/json"
    assert asked(world) == 1


def test_an_answer_tells_its_age(world: World) -> None:
    assert "age" not in chat(world).headers
    assert chat(world).headers["age"] == "0"
    world.clock.advance(90)
    assert chat(world).headers["age"] == "90"


@pytest.mark.parametrize("fields", [{"temperature": 0.7}, {"temperature": None}, {"temperature": 1e-9}])
def test_at_another_temperature_the_model_is_asked_and_the_cache_is_not(
    world: World, cache: Gone, fields: dict[str, Any]
) -> None:
    assert outcomes(chat(world, **fields), chat(world, **fields)) == ["bypass", "bypass"]
    assert (asked(world), cache.asked) == (2, 0)


def test_max_age_asks_for_the_cache_at_any_temperature(world: World) -> None:
    wanted = {"cache-control": "max-age=60"}
    assert outcomes(*(chat(world, wanted, temperature=0.7) for _ in range(2))) == ["miss", "hit"]


def test_an_answer_older_than_max_age_is_made_anew(world: World) -> None:
    wanted = {"cache-control": "max-age=60"}
    chat(world, wanted)
    world.clock.advance(60)
    assert outcomes(chat(world, wanted)) == ["hit"]
    world.clock.advance(1)
    assert outcomes(chat(world, wanted), chat(world, wanted)) == ["miss", "hit"]
    assert asked(world) == 2


def test_no_cache_asks_the_model_and_keeps_its_answer(world: World) -> None:
    chat(world)
    world.answers(lambda _: FakeResponse.json(WHOLE | {"id": "c2"}))
    assert outcomes(chat(world, {"cache-control": "no-cache"})) == ["bypass"]
    assert (chat(world).json()["id"], asked(world)) == ("c2", 2)


def test_no_store_asks_the_model_and_keeps_nothing(world: World, cache: Gone) -> None:
    responses = [chat(world, {"cache-control": "max-age=5, No-Store"}) for _ in range(2)]
    assert outcomes(*responses) == ["bypass", "bypass"]
    assert (asked(world), cache.asked) == (2, 0)


@pytest.mark.parametrize(
    "nonsense", ["", ",", "max-age", "max-age=", "max-age=-1", "max-age=x", "=", "max-age=\xb2", "a" * 9000]
)
def test_nonsense_in_cache_control_is_left_aside(world: World, nonsense: str) -> None:
    headers: Any = {"cache-control": nonsense.encode("latin-1")}
    assert outcomes(chat(world, headers), chat(world, headers)) == ["miss", "hit"]


@pytest.mark.parametrize("digits", [10, 30_000])
def test_a_huge_max_age_is_a_long_time(world: World, digits: int) -> None:
    headers = {"cache-control": "max-age=" + "9" * digits}
    assert outcomes(*(chat(world, headers, temperature=1) for _ in range(2))) == ["miss", "hit"]


def test_an_answer_is_forgotten_when_its_time_is_over(tmp_path: Path) -> None:
    world = World(tmp_path, cache_ttl_s=10)
    world.answers(answer)
    chat(world)
    world.clock.advance(11)
    assert outcomes(chat(world)) == ["miss"]


# What is the same request


@pytest.mark.parametrize(
    "fields",
    [{"user": "ann"}, {"metadata": {"a": "b"}}, {"stream": False}, {"stream": None}, {"safety_identifier": "x"}],
    ids=str,
)
def test_what_does_not_change_the_answer_does_not_matter(world: World, fields: dict[str, Any]) -> None:
    chat(world)
    assert outcomes(chat(world, **fields)) == ["hit"]


def test_white_space_and_the_order_of_fields_do_not_matter(world: World) -> None:
    chat(world)
    body = json.dumps(dict(reversed((CHAT | COLD).items())), indent=3)
    assert outcomes(world.request("POST", CHAT_PATH, content=body)) == ["hit"]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": "hi"}]},
        {"messages": [{"role": "user", "content": "Hi "}]},
        {"messages": [{"role": "user", "content": "H\u0456"}]},
        {"messages": [*CHAT["messages"], *CHAT["messages"]]},
        {"model": "elsewhere"},
        {"temperature": 0.0, "seed": 1},
        {"n": 2},
        {"max_tokens": 5},
        {"stop": [","]},
        {"top_k": 40},
        {"tools": []},
        {"messages": True},
    ],
    ids=str,
)
def test_everything_else_does(world: World, fields: dict[str, Any]) -> None:
    chat(world)
    assert outcomes(chat(world, **fields)) == ["miss"]


def test_numbers_too_large_for_a_double_are_told_apart(world: World) -> None:
    assert outcomes(chat(world, seed=2**70), chat(world, seed=2**70 + 1)) == ["miss", "miss"]


def test_the_two_inference_routes_do_not_share(world: World) -> None:
    chat(world)
    assert outcomes(world.request("POST", "/v1/completions", json=CHAT | COLD)) == ["miss"]


def test_a_tenants_answers_are_given_to_its_keys_and_to_nobody_else(world: World) -> None:
    chat(world)
    assert outcomes(chat(world, key="master-key-root-1"), chat(world, key="prod-key-acme-2")) == ["miss", "hit"]


@pytest.mark.parametrize(
    "changed",
    [
        Model("m", (UpstreamTarget("http://b", "m"),), frozenset()),
        Model("m", (UpstreamTarget("http://a", "m2"),), frozenset()),
        Model("m", (UpstreamTarget("http://a", "m"), UpstreamTarget("http://b", "m")), frozenset()),
        Model("m", (UpstreamTarget("http://a", "m"),), frozenset(), version="2"),
    ],
)
def test_a_model_that_is_served_by_something_else_has_other_answers(world: World, cache: Gone, changed: Model) -> None:
    before = Model("m", (UpstreamTarget("http://a", "m"),), frozenset())
    kept = KeptAnswers(cache, world.clock, 60)
    versions = {Cache(Catalogue((model,)), kept)._versions["m"] for model in (before, changed)}
    assert len(versions) == 2


# In which form


@pytest.mark.parametrize("first", [{}, WITH_USAGE], ids=["whole", "stream"])
@pytest.mark.parametrize("second", [{}, WITH_USAGE, {"stream": True}], ids=["whole", "stream with usage", "stream"])
def test_what_was_kept_of_one_form_is_given_in_another(
    world: World, first: dict[str, Any], second: dict[str, Any]
) -> None:
    chat(world, **first)
    response = chat(world, **second)
    assert (outcomes(response), asked(world)) == (["hit"], 1)
    if not second:
        assert response.json() == WHOLE
        return
    assert response.headers["content-type"] == "text/event-stream"
    assert said(response.content) == "Hello."
    usages = [each["usage"] for each in events(response.content) if each.get("usage")]
    assert usages == ([WHOLE["usage"]] if "stream_options" in second else [])
    assert events(response.content)[-1 - len(usages)]["choices"][0]["finish_reason"] == "stop"


def test_a_stream_without_usage_is_not_given_to_those_who_want_to_know_it(world: World) -> None:
    chat(world, stream=True)
    assert outcomes(chat(world, stream=True), chat(world)) == ["hit", "miss"]


def test_keep_alive_comments_are_not_kept(world: World) -> None:
    world.answers(lambda _: FakeResponse.stream(b": keep-alive\n\n", *STREAM, b": keep-alive\n\n", DONE))
    chat(world, stream=True)
    assert b"keep-alive" not in chat(world, stream=True).content
    assert asked(world) == 1


# What it saves


def test_a_hit_needs_no_worker(world: World) -> None:
    chat(world)
    world.answers(lambda _: ConnectFailed("refused"))
    assert outcomes(chat(world)) == ["hit"]


def test_a_hit_costs_no_tokens_and_is_counted_as_a_hit(world: World) -> None:
    before = tokens_out(), requests("hit"), requests("miss")
    chat(world)
    spent = tokens_out()
    chat(world)
    assert (spent, tokens_out()) == (before[0] + 5, before[0] + 5)
    assert (requests("hit"), requests("miss")) == (before[1] + 1, before[2] + 1)


def test_the_log_tells_which_answers_were_there_already(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "omni.requests")
    chat(world)
    chat(world)
    logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line.get("answered_from") for line in logged] == [None, "cache"]


# Without it


def test_without_its_cache_the_gateway_goes_on_and_says_so_once(
    world: World, cache: Gone, caplog: pytest.LogCaptureFixture
) -> None:
    before = failures()
    with away(cache), caplog.at_level(logging.WARNING):
        assert outcomes(*(chat(world) for _ in range(20))) == ["miss"] * 20
    assert asked(world) == 20
    assert caplog.text.count("no cache") == 1
    assert failures() - before == cache.asked == 5  # then it is left alone for a moment
    world.clock.advance(2)
    assert outcomes(chat(world), chat(world)) == ["miss", "hit"]


def test_what_another_release_has_kept_is_a_miss(world: World, cache: Gone) -> None:
    chat(world)
    for key in list(cache._entries):
        cache.put(key, b'{"of": "another form"}', 60)
    assert outcomes(chat(world), chat(world)) == ["miss", "hit"]


@contextmanager
def away(cache: Gone) -> Iterator[None]:
    cache.gone = True
    yield
    cache.gone = False


def failures() -> float:
    return REGISTRY.get_sample_value("omni_cache_failures_total") or 0


def requests(outcome: str) -> float:
    labels = {"model": "small", "outcome": outcome}
    return REGISTRY.get_sample_value("omni_cache_requests_total", labels) or 0
