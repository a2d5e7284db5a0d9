"""Another platform's address as an upstream: any OpenAI-compatible server with a key from the secrets will do."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.machine import free_port
from tests.stack.running import RunningStack

MODEL = "smollm2-135m-instruct"
CATALOGUE = """
[[model]]
id = "borrowed"
upstreams = [{{ url = "{url}/v1", model = "{model}", api_key_env = "LENDERS_KEY" }}]

[[model]]
id = "locked"
upstreams = [{{ url = "{url}/v1", model = "{model}", api_key_env = "WRONG_KEY" }}]
"""


@pytest.fixture(scope="module")
def borrower(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """A platform without a model of its own."""
    folder = tmp_path_factory.mktemp("borrower")
    catalogue: Path = folder / "models.toml"
    catalogue.write_text(CATALOGUE.format(url=stack.base_url, model=MODEL))
    settings = {"OMNI_MODELS_FILE": str(catalogue), "LENDERS_KEY": stack.api_key, "WRONG_KEY": "wrong"}
    with RunningStack(folder / "state", free_port(), model="none", **settings) as running, running.openai() as client:
        yield client


def test_it_answers_whole(borrower: openai.OpenAI) -> None:
    answer = borrower.chat.completions.create(
        model="borrowed", messages=[{"role": "user", "content": "Say hello."}], max_tokens=8
    )
    assert answer.choices[0].message.content
    assert answer.usage
    assert answer.usage.completion_tokens <= 8


def test_it_streams(borrower: openai.OpenAI) -> None:
    chunks = list(
        borrower.chat.completions.create(
            model="borrowed",
            messages=[{"role": "user", "content": "Say hello."}],
            max_tokens=8,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage


def test_its_refusal_of_a_request_reaches_the_caller(borrower: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature"):
        borrower.chat.completions.create(
            model="borrowed", messages=[{"role": "user", "content": "Hi"}], temperature=9, max_tokens=1
        )


def test_its_refusal_of_our_key_is_no_business_of_the_callers(borrower: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        borrower.chat.completions.create(model="locked", messages=[{"role": "user", "content": "Hi"}], max_tokens=1)
    assert caught.value.status_code == 502
    assert "key" not in str(caught.value).lower()
