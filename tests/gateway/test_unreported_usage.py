"""Every answer is charged for what was generated, however its server reports it and however it ends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.core.usage import UsageRow
from shared.ports.upstream import BrokenOff
from tests.fakes import FakeResponse
from tests.gateway.answers import DONE, WHOLE, event, events, sse
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import World
from tests.gateway.test_cost import PRICED, USED, WITH_USAGE, catalogue, charged, cost_of
from tests.gateway.test_usage_rows import written

MANY = event({"content": "word " * 160})
"""200 tokens; 2,000 nano-dollars each token, and 10,000 an answer's."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, models_file=catalogue(tmp_path, PRICED))


def streamed_cost(world: World, *parts: bytes, **fields: Any) -> str:
    world.answers(lambda _: FakeResponse.stream(*parts))
    text = world.chat(stream=True, **fields).text
    return text.partition(": x-omni-cost-usd: ")[2].partition("\n")[0]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 3.0, "completion_tokens": "5"},
        {"input_tokens": 3, "output_tokens": 5},
        {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": []},
        {"prompt_tokens": 3, "total_tokens": 8},
    ],
)
def test_usage_in_any_form_is_charged_alike_whole_and_streamed(world: World, usage: dict[str, Any]) -> None:
    world.answers(lambda _: FakeResponse.json(WHOLE | {"usage": usage}))
    assert cost_of(world.chat()) == USED
    assert streamed_cost(world, MANY, event(usage=usage), DONE) == USED


def test_an_answer_of_no_tokens_is_charged_for_none(world: World) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": None, "total_tokens": 3}
    world.answers(lambda _: FakeResponse.json(WHOLE | {"usage": usage}))
    assert cost_of(world.chat()) == "0.000006"
    assert streamed_cost(world, MANY, event(usage=usage), DONE) == "0.000006"


def test_a_count_told_first_and_one_told_last_are_both_charged(world: World) -> None:
    first = event({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 0})
    last = event({}, "stop", usage={"prompt_tokens": 0, "completion_tokens": 5})
    nothing = event(usage={"prompt_tokens": 0, "completion_tokens": 0})
    assert streamed_cost(world, first, last, nothing, DONE) == USED


def test_an_odd_number_beside_the_usage_reaches_the_caller_and_loses_nothing(world: World) -> None:
    odd = b'data: {"choices": [], "x": 1e999, "usage": {"prompt_tokens": 3, "completion_tokens": 5}}\n\n'
    world.answers(lambda _: FakeResponse.stream(MANY, odd, DONE))
    text = world.chat(**WITH_USAGE).text
    assert odd.decode() in text
    assert f": x-omni-cost-usd: {USED}\n" in text


def test_an_error_in_a_200_costs_nothing(world: World) -> None:
    world.answers(lambda _: FakeResponse.json({"error": {"message": "no provider", "code": 502}}))
    assert cost_of(world.chat()) in {None, "0"}


def test_comments_cost_nothing(world: World) -> None:
    comments = b": PROCESSING\n\n" * 200
    assert streamed_cost(world, comments, MANY, DONE) == streamed_cost(world, MANY, DONE)


def test_a_stream_that_breaks_off_is_charged_for_the_tokens_in_its_events(world: World) -> None:
    before = charged()
    world.answers(lambda _: FakeResponse.stream(MANY, MANY, BrokenOff("reset")))
    world.chat(stream=True)
    assert charged() - before == pytest.approx(0.00403, abs=0.00002)


def test_a_caller_who_leaves_just_before_the_usage_is_charged_for_the_tokens_it_got(tmp_path: Path) -> None:
    before = charged()

    async def run() -> None:
        upstream = GatedUpstream(lambda _: FakeResponse.stream(MANY, MANY, DONE))
        world = World(tmp_path, upstream, models_file=catalogue(tmp_path, PRICED))
        call = Call(world, {"stream": True})
        for _ in range(2):
            upstream.gate.release()
        await until(lambda: len(call.parts) == 2, "two parts have come")
        call.leave()
        await call.done()

    asyncio.run(run())
    assert charged() - before == pytest.approx(0.00403, abs=0.00002)


def test_a_row_of_usage_has_the_tokens_that_a_caller_who_left_was_charged_for(tmp_path: Path) -> None:
    async def run() -> UsageRow:
        upstream = GatedUpstream(lambda _: FakeResponse.json(WHOLE))
        world = World(tmp_path, upstream, models_file=catalogue(tmp_path, PRICED))
        call = Call(world, {"max_tokens": 100})
        await until(lambda: upstream.requests, "the upstream is asked")
        world.clock.advance(60)
        call.leave()
        await call.done()
        [row] = await written(world, 1)
        return row

    row = asyncio.run(run())
    assert (row.tokens_in, row.tokens_out, row.cost) == (21, 100, 21 * 2000 + 100 * 10_000)


def test_the_prompt_told_first_and_the_answer_cut_short_is_charged_for_both(world: World) -> None:
    before = charged()
    first = sse({"choices": [{"index": 0, "delta": {}}], "usage": {"prompt_tokens": 100, "completion_tokens": 1}})
    world.answers(lambda _: FakeResponse.stream(first, MANY, BrokenOff("reset")))
    world.chat(stream=True)
    assert charged() - before == pytest.approx(0.000200 + 0.002010)


def test_an_event_of_usage_tells_the_cost_of_all_that_came(world: World) -> None:
    early = event(usage={"prompt_tokens": 3, "completion_tokens": 1})
    last = event(usage={"prompt_tokens": 3, "completion_tokens": 5})
    world.answers(lambda _: FakeResponse.stream(early, MANY, last, DONE))
    response = world.chat(**WITH_USAGE)
    assert events(response.content)[-1]["usage"]["cost_usd"] == float(USED)
    assert f": x-omni-cost-usd: {USED}\n" in response.text


REPORT = b': {"usage":{"prompt_tokens":100,"completion_tokens":40,"total_tokens":140}}\n\n'


def test_what_our_worker_reports_meanwhile_is_charged_and_kept_from_the_caller(world: World) -> None:
    before = charged()
    world.answers(lambda _: FakeResponse.stream(REPORT, MANY + REPORT, MANY, BrokenOff("reset")))
    assert b"prompt_tokens" not in world.chat(stream=True).content
    assert charged() - before == pytest.approx(0.000200 + 0.000410)


def test_a_report_in_a_comment_of_another_server_is_a_comment(tmp_path: Path) -> None:
    text = PRICED.replace('id = "elsewhere"', 'id = "elsewhere"\nprice = { output = 10 }')
    world = World(tmp_path, models_file=catalogue(tmp_path, text))
    assert streamed_cost(world, REPORT, MANY, DONE, model="elsewhere") == "0.002"
