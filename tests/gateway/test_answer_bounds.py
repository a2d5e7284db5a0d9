"""What an upstream sends is held within bounds, whatever it is an answer to."""

from pathlib import Path

from shared.ports.upstream import AnswerTooLarge
from tests.fakes import FakeResponse
from tests.gateway.conftest import World, problem


def test_502_says_that_the_answer_was_too_large(world: World) -> None:
    world.answers(lambda _: FakeResponse(200, [b"{", AnswerTooLarge("more than 1024 bytes")]))
    response = world.chat()
    assert problem(response) == (502, "upstream_answer_too_large", None)
    assert "more than 1024 bytes" in response.json()["error"]["message"]


def test_of_a_refusal_only_the_beginning_is_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.answers(lambda _: FakeResponse(400, [b"x" * 60_000, b"x" * 60_000, AnswerTooLarge("never read")]))
    assert problem(world.chat()) == (400, "invalid_request", None)
