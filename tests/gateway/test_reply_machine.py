"""What an upstream answers is looked at before anything of it passes, however the network cuts it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from functions.gateway.completion import from_stream
from functions.gateway.exchange import Exchange
from functions.gateway.inference.answer_meter import AnswerMeter
from functions.gateway.inference.reply_machine import ReplyFailed, ReplyMachine, ReplyState, Wanted
from shared.core.errors import UpstreamFailed
from shared.surfaces.chat import CHAT
from shared.surfaces.request import read
from shared.web.asgi import Message, RawHeaders
from shared.web.request_head import RequestHead
from shared.web.sse import payloads
from tests.gateway.answers import DONE, STREAM, USAGE, WHOLE, event, sse

EVENTS, JSON = b"text/event-stream", b"application/json"
BODY = json.dumps(WHOLE).encode()
ERROR = {"error": {"message": "account org-77 is over quota", "code": 429}}
GOOD = b"".join([*STREAM, USAGE, DONE])
LOST = UpstreamFailed("lost")


class NoWriter:
    """The machine sends nothing."""

    has_left = takes_more = False

    def begin(self, status: int, headers: RawHeaders) -> None:
        raise AssertionError

    def write(self, part: bytes, *, more: bool) -> None:
        raise AssertionError

    async def write_as_read(self, part: bytes, *, more: bool) -> None:
        raise AssertionError

    def break_off(self) -> None:
        raise AssertionError


async def nothing() -> Message:
    raise AssertionError


def exchange(*, wants_usage: bool = False) -> Exchange:
    made = Exchange(RequestHead("POST", "/v1/chat/completions", b"", [], ""), nothing, NoWriter(), 0.0)
    options = ',"stream_options":{"include_usage":true}' if wants_usage else ""
    made.asked = read(f'{{"model":"small","messages":[],"stream":true{options}}}'.encode())
    return made


def machine(content_type: bytes = EVENTS, *, wants_usage: bool = False, **wanted: Any) -> ReplyMachine:
    meter = AnswerMeter(exchange(wants_usage=wants_usage))
    return ReplyMachine(Wanted(CHAT, **{"is_stream": True} | wanted), meter, content_type)


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def fed(reply: ReplyMachine, *chunks: bytes) -> bytes:
    """What passes, with the end of the body unless the answer ended before."""
    passed = b""
    for chunk in chunks:
        passed += reply.feed(chunk).passed
        if reply.state is ReplyState.DONE:
            return passed
    return passed + reply.end().passed


def text_of(passed: bytes) -> str:
    pieces = [json.loads(payload) for payload in payloads(passed) if payload != b"[DONE]"]
    return "".join(choice["delta"].get("content") or "" for piece in pieces for choice in piece["choices"])


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
@pytest.mark.parametrize(
    "kind", [EVENTS, b"Text/Event-Stream; charset=UTF-8", b"", JSON], ids=["plain", "odd", "none", "wrong"]
)
def test_a_stream_passes_whatever_it_is_called(kind: bytes, size: int) -> None:
    passed = fed(machine(kind), *cut(GOOD, size))
    assert text_of(passed) == "Hello."
    assert passed.endswith(DONE)


@pytest.mark.parametrize("wants_usage", [False, True])
@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_plain_events_pass_the_short_way_as_they_pass_the_long_one(size: int, *, wants_usage: bool) -> None:
    long, short = machine(wants_usage=wants_usage), machine(wants_usage=wants_usage)
    chunks = [part for each in (*STREAM, *STREAM[1:2] * 3, USAGE) for part in cut(each, size)]
    plain = 0
    for chunk in chunks:
        is_plain = short.is_plain(chunk)
        plain += is_plain
        assert (short.feed_plain(chunk) if is_plain else short.feed(chunk)) == long.feed(chunk)
    assert short.feed(DONE) == long.feed(DONE)
    assert bool(plain) is (size > 300)


@pytest.mark.parametrize("kind", [JSON, EVENTS, b""], ids=["json", "called events", "none"])
def test_a_whole_answer_becomes_the_stream_that_was_asked_for(kind: bytes) -> None:
    passed = fed(machine(kind), *cut(BODY, 7))
    assert text_of(passed) == "Hello."
    assert passed.endswith(DONE)


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_stream_becomes_the_whole_answer_that_was_asked_for(size: int) -> None:
    reply = machine(is_stream=False)
    assert fed(reply, *cut(GOOD, size)) == b""
    answer = json.loads(reply.content)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert (answer["object"], answer["usage"]) == ("chat.completion", WHOLE["usage"])


def test_a_whole_answer_passes_byte_by_byte() -> None:
    reply = machine(JSON, is_stream=False)
    fed(reply, *cut(BODY, 9))
    assert reply.content == BODY


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(ERROR).encode(),
        json.dumps(WHOLE | {"choices": []}).encode(),
        BODY[:-10],
        b"<html>Welcome</html>",
        b"",
        b"  \n",
        sse(ERROR),
        STREAM[0] + sse(ERROR) + DONE,
        b": PROCESSING\n\n" * 3 + sse(ERROR),
        DONE,
        STREAM[0] + DONE,
        STREAM[0],
        b"data: <html>\n\n",
        b'data: {"choi',
    ],
    ids=[
        *("error object", "no choices", "half a JSON", "page", "nothing", "blanks", "error as first event"),
        *("error after the role", "error after comments", "the end alone", "a role and the end", "a role and no end"),
        *("a page as event", "half an event"),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False], ids=["stream", "whole"])
def test_what_is_no_answer_fails_before_anything_passes(body: bytes, is_stream: bool) -> None:  # noqa: FBT001
    for size in (1, 10_000):
        reply = machine(EVENTS if body.startswith((b"data", b":")) else JSON, is_stream=is_stream)
        with pytest.raises(ReplyFailed) as failed:
            fed(reply, *cut(body, size))
        assert not reply.has_begun
        assert failed.value.last.passed == b""
        assert "org-77" not in failed.value.error.message


def test_our_own_worker_says_why() -> None:
    reply = machine(is_trusted=True)
    with pytest.raises(ReplyFailed) as failed:
        reply.feed(sse({"error": {"message": "The model is starting again.", "code": "model_loading"}}))
    assert (failed.value.error.message, failed.value.error.code) == ("The model is starting again.", "model_loading")


def test_an_error_in_the_middle_comes_after_what_was_said() -> None:
    reply = machine()
    with pytest.raises(ReplyFailed) as failed:
        reply.feed(STREAM[0] + STREAM[1] + sse(ERROR))
    assert reply.has_begun
    assert text_of(failed.value.last.passed) == "Hel"


def test_a_role_is_held_until_something_is_said() -> None:
    reply = machine()
    assert reply.feed(STREAM[0]).passed == b""
    assert not reply.has_begun
    assert reply.feed(STREAM[1]).passed == STREAM[0] + STREAM[1]
    assert reply.has_begun


def test_done_is_the_end_at_once() -> None:
    reply = machine()
    assert reply.feed(GOOD + b": heartbeat\n\n").passed.endswith(DONE)
    assert reply.state is ReplyState.DONE


@pytest.mark.parametrize("ends", ["closed", "reset"])
def test_a_finished_stream_without_done_is_an_end(ends: str) -> None:
    reply = machine()
    passed = reply.feed(b"".join(STREAM) + USAGE).passed
    passed += (reply.end() if ends == "closed" else reply.lost(LOST)).passed
    assert text_of(passed) == "Hello."
    assert passed.endswith(DONE)


def test_each_choice_has_an_end_of_its_own() -> None:
    reply = machine(choices=2)
    reply.feed(b"".join(STREAM))
    with pytest.raises(ReplyFailed):
        reply.end()


@pytest.mark.parametrize("ends", ["closed", "reset"])
def test_a_stream_that_breaks_off_is_no_end(ends: str) -> None:
    reply = machine()
    reply.feed(STREAM[0] + STREAM[1])
    with pytest.raises(ReplyFailed):
        reply.end() if ends == "closed" else reply.lost(LOST)


def test_usage_that_was_asked_for_and_not_reported_is_counted() -> None:
    passed = fed(machine(wants_usage=True), *STREAM, DONE)
    last = json.loads(list(payloads(passed))[-2])
    assert (last["choices"], last["id"]) == ([], WHOLE["id"])
    assert last["usage"]["completion_tokens"] == len(STREAM)


def test_an_answer_and_an_event_have_a_bound() -> None:
    with pytest.raises(ReplyFailed):
        fed(machine(JSON, most_whole_bytes=100), BODY)
    with pytest.raises(ReplyFailed):
        fed(machine(most_event_bytes=100), b"data: " + b"x" * 200)
    with pytest.raises(ReplyFailed):
        fed(machine(is_stream=False, most_whole_bytes=100), GOOD)


PARTS = [
    *STREAM,
    USAGE,
    DONE,
    sse(ERROR),
    b": c\n\n",
    b"data: <\n\n",
    b"{",
    b"\r\n",
    event({"content": ""}),
    b"data:",
    b"\n\n",
]


@given(st.lists(st.sampled_from(PARTS), max_size=8).map(b"".join), st.data(), st.booleans())
def test_any_cuts_give_the_same_outcome(body: bytes, data: st.DataObject, is_stream: bool) -> None:  # noqa: FBT001
    places = data.draw(st.lists(st.integers(0, len(body)), max_size=6).map(sorted))
    chunks = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if b > a]

    def outcome(*chunks: bytes) -> tuple[str, str]:
        reply = machine(is_stream=is_stream)
        try:
            passed = fed(reply, *chunks)
        except ReplyFailed:
            return "failed", ""
        return "answer", reply.content.decode() if not is_stream else str(from_stream(passed))

    assert outcome(*chunks) == outcome(body) if body else outcome() == outcome()


class Upstream(RuleBasedStateMachine):
    """Does whatever an upstream can do, in any order: nothing passes after the end, nor before an answer is there."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked()

    @precondition(lambda self: self.is_over)
    @rule()
    def is_asked_again(self) -> None:
        self.is_asked()

    def is_asked(self) -> None:
        self.reply = machine()
        self.passed = b""
        self.is_over = False

    @precondition(lambda self: not self.is_over)
    @rule(data=st.sampled_from(PARTS) | st.binary(max_size=8))
    def sends(self, data: bytes) -> None:
        self._happens(lambda: self.reply.feed(data) if data else self.reply.feed(b"\n"))

    @precondition(lambda self: not self.is_over)
    @rule(is_clean=st.booleans())
    def closes(self, is_clean: bool) -> None:  # noqa: FBT001
        self._happens(self.reply.end if is_clean else lambda: self.reply.lost(LOST))
        self.is_over = True

    def _happens(self, happens: Any) -> None:
        try:
            self.passed += happens().passed
            self.is_over = self.reply.state is ReplyState.DONE
        except ReplyFailed as failed:
            self.passed += failed.last.passed
            self.is_over = True

    @invariant()
    def only_answers_pass(self) -> None:
        assert bool(self.passed) <= self.reply.has_begun
        assert self.reply.state is not ReplyState.DONE or self.passed.endswith(DONE)
        assert list(payloads(self.passed)).count(b"[DONE]") <= 1
        assert not any(b"org-77" in payload for payload in payloads(self.passed))


TestUpstream = Upstream.TestCase
TestUpstream.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
