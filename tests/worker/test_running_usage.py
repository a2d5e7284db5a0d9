"""Behind the gateway a stream tells the tokens so far wherever its events do not: who leaves pays for what was made."""

from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.engines import events
from jobs.ml_worker.engines.engine import Running
from shared.ports.upstream import OutgoingRequest
from shared.surfaces.tally import AnswerTally
from shared.surfaces.usage import read
from shared.web import sse
from tests.fakes import FakeResponse
from tests.worker.application import CHAT, MODEL, Application, FakeEngine
from tests.worker.test_internal import ANN, PATH, signed

PROMPT = 31
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def said(text: str, tokens: int | None, **choice: Any) -> bytes:
    """An event of llama.cpp's, with the tokens generated so far."""
    event: dict[str, Any] = {"choices": [{"finish_reason": None, "index": 0, "delta": {"content": text}} | choice]}
    event |= {"created": 1, "id": "c", "object": "chat.completion.chunk"}
    if tokens is not None:
        event["timings"] = {"cache_n": 30, "prompt_n": PROMPT - 30, "predicted_ms": 1.5, "predicted_n": tokens}
    return events.encoded(event)


def ended(tokens: int) -> bytes:
    usage = {"completion_tokens": tokens, "prompt_tokens": PROMPT, "total_tokens": PROMPT + tokens}
    return events.encoded({"choices": [], "usage": usage, "timings": {"prompt_n": PROMPT, "predicted_n": tokens}})


def streamed(tmp_path: Path, *told: bytes, running: Running | None = None, **asked: Any) -> bytes:
    """What the gateway gets."""
    app = Application(tmp_path, FakeEngine(running or Running("http://engine", 1000)), run_as_internal=True)

    def answer(request: OutgoingRequest) -> FakeResponse:
        return FakeResponse.stream(*told, sse.LAST) if b"messages" in request.body else FakeResponse.json({})

    app.answers(answer)
    return signed(app, ANN, PATH, json=CHAT | {"stream": True} | asked).content


def charged(content: bytes) -> list[tuple[int, int]]:
    """Tokens of prompt and answer for a caller who leaves behind each event, with the comment that came along."""
    tally = AnswerTally(is_own=True)
    found: list[tuple[int, int]] = []
    for event in sse.events(content):
        if tally.take_comment(event):
            found.pop()
        elif not sse.ends(event):
            tally.take(event)
            for payload in sse.payloads(event):
                if usage := read(payload):
                    tally.note(usage)
        found.append((tally.usage.input or 0, tally.output))
    return found[:-1]


def test_an_event_a_token_needs_no_comment_but_for_the_prompt(tmp_path: Path) -> None:
    content = streamed(
        tmp_path,
        said("The", 1),
        said(" sea", 2),
        said(".", 3),
        said("", None, finish_reason="stop", delta={}),
        ended(3),
    )
    assert charged(content)[:4] == [(31, 1), (31, 1), (31, 2), (31, 3)]
    assert charged(content)[-1] == (31, 3)
    assert b"timings" not in content


def test_characters_of_several_tokens_count_by_those(tmp_path: Path) -> None:
    content = streamed(tmp_path, said("😀", 3), said("中", 5), said("文", 8), ended(8))
    assert charged(content)[1:] == [(31, 3), (31, 5), (31, 8), (31, 8)]


def test_what_is_held_back_counts(tmp_path: Path) -> None:
    """The beginning of a call is no text that could go on before it is known to be one."""
    running = Running("http://engine", 1000, calls_tools=False)
    told = [said('{"na', 1), said('me": "', 2), said('f", "ar', 3), said("gum", 4), ended(4)]
    content = streamed(tmp_path, *told, running=running, tools=[TOOL], tool_choice="auto")
    comments = [read(event[1:]) for event in sse.events(content) if event.startswith(b":")]
    assert [each and each.output for each in comments][-1] == 4
    assert max(output for _, output in charged(content)) == 4


def test_other_choices_that_are_ahead_count(tmp_path: Path) -> None:
    content = streamed(tmp_path, said("a", 1), said("b", 2), said("c", 3), ended(3), n=2)
    assert charged(content)[-1] == (31, 6)
    assert all(output <= 6 for _, output in charged(content))


@pytest.mark.parametrize("told", [None, {"prompt_tokens": 31, "completion_tokens": 4, "total_tokens": 35}])
def test_an_engine_that_reports_with_each_event_or_not_at_all(tmp_path: Path, told: Any) -> None:
    running = Running("http://engine", 1000, events_are_plain=False)
    event = events.encoded({"choices": [{"index": 0, "delta": {"content": "four tokens are here"}}], "usage": told})
    content = streamed(tmp_path, event, said("", None, finish_reason="stop", delta={}), ended(4), running=running)
    assert charged(content)[-1] == (31, 4)
    assert charged(content)[1] == ((31, 4) if told else (0, 5))


def test_without_a_gateway_no_comment_is_sent(tmp_path: Path) -> None:
    app = Application(tmp_path, FakeEngine(Running("http://engine", 1000)))
    app.answers(
        lambda r: (
            FakeResponse.stream(said("😀", 3), ended(3), sse.LAST) if b"messages" in r.body else FakeResponse.json({})
        )
    )
    content = app.chat(model=MODEL, stream=True).content
    assert b"\n:" not in content
    assert b"usage" not in content
