"""The older text completions with the real model."""

import json

import openai
import pytest

from tests.worker.running import MODEL, RunningWorker
from tests.worker.test_chat import NO_END, sse

PROMPTS = ["Once upon a time", "The sky is"]


def test_each_prompt_gets_its_continuation_and_all_are_paid_for(client: openai.OpenAI) -> None:
    alone = [client.completions.create(model=MODEL, prompt=prompt, max_tokens=4).usage for prompt in PROMPTS]
    answer = client.completions.create(model=MODEL, prompt=PROMPTS, max_tokens=4, n=2, logit_bias=NO_END)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage
    assert answer.usage.prompt_tokens == sum(usage.prompt_tokens for usage in alone if usage)
    assert answer.usage.completion_tokens == 16
    assert answer.object == "text_completion"


def test_logprobs_have_the_older_shape(client: openai.OpenAI) -> None:
    choice = client.completions.create(
        model=MODEL, prompt=PROMPTS[0], max_tokens=4, logprobs=2, logit_bias=NO_END
    ).choices[0]
    told = choice.logprobs
    assert told
    assert told.tokens
    assert "".join(told.tokens) == choice.text
    assert told.text_offset == [len("".join(told.tokens[:place])) for place in range(4)]
    assert len(told.token_logprobs or ()) == len(told.top_logprobs or ()) == 4
    for token, alternatives in zip(told.tokens, told.top_logprobs or (), strict=True):
        assert token in alternatives
        assert len(alternatives) in {2, 3}


def test_a_stream_has_the_same_shape_and_ends_with_usage_and_done(worker: RunningWorker) -> None:
    body = {"model": MODEL, "prompt": PROMPTS, "max_tokens": 4, "logprobs": 1, "logit_bias": NO_END}
    *events, usage, done = sse(worker, "/v1/completions", **body, stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert json.loads(usage)["usage"]["completion_tokens"] == 8
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    assert {choice["index"] for choice in choices} == {0, 1}
    for index in (0, 1):
        told = [choice["logprobs"] for choice in choices if choice["index"] == index and choice["logprobs"]]
        offsets = [offset for each in told for offset in each["text_offset"]]
        assert offsets == sorted(set(offsets))


def test_one_prompt_streams_without_usage_unless_asked(worker: RunningWorker) -> None:
    *events, done = sse(worker, "/v1/completions", model=MODEL, prompt=PROMPTS[0], max_tokens=3)
    assert done == "[DONE]"
    assert not [event for event in events if "usage" in event or "timings" in event]


def test_echo_begins_with_the_prompt(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=PROMPTS, max_tokens=3, echo=True, logit_bias=NO_END)
    for prompt, choice in zip(PROMPTS, answer.choices, strict=True):
        assert choice.text.startswith(prompt)
        assert len(choice.text) > len(prompt)


def test_token_ids_are_a_prompt_too(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=[[1, 2, 3], [4, 5]], max_tokens=2)
    assert answer.usage
    assert answer.usage.prompt_tokens == 5
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model=MODEL, prompt=[10**9], max_tokens=2)


def test_a_prompt_beyond_the_context_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model=MODEL, prompt="word " * 9000)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "prompt")


def test_no_token_at_all_can_be_asked_for(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=PROMPTS, max_tokens=0)
    assert [(choice.text, choice.finish_reason) for choice in answer.choices] == [("", "length")] * 2
    assert answer.usage
    assert answer.usage.completion_tokens == 0
    echoed = client.completions.create(model=MODEL, prompt=PROMPTS, max_tokens=0, echo=True)
    assert [choice.text for choice in echoed.choices] == PROMPTS


def test_the_scores_of_a_prompt_are_refused_by_an_engine_that_has_none(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model=MODEL, prompt="Once", max_tokens=0, echo=True, logprobs=1)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "echo")
