"""Row 14: receivers that fail, are slow, are gone, or send us elsewhere. Real sockets; the clock alone is moved."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from shared.adapters.httpx_courier import HttpxCourier
from shared.core.webhooks import RETRY_AFTER_S, State
from shared.ports.courier import Courier
from shared.webhooks.wakeups import WebhookWakeUp
from tests import hooks
from tests.chaos.conftest import ClockedStore
from tests.fakes import FakeClock
from tests.firestore_emulator import FirestoreEmulator
from tests.hooks import Hook, status
from tests.webhooks.post import Post

QUICK_S = 0.5
"""Stands in for the 20 s that a delivery may take."""
MakePost = Callable[[Courier | None], Post]


@pytest.fixture
def make_post(state: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePost]:
    if state == "sqlite":
        yield lambda courier: Post(tmp_path, courier=courier)
        return
    emulator: FirestoreEmulator = request.getfixturevalue("firestore")
    clock, store = FakeClock(), emulator.store()
    yield lambda courier: Post(tmp_path, ClockedStore(store, clock), courier, clock)
    store.close()


@pytest.fixture
def post(make_post: MakePost) -> Post:
    return make_post(None)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooks.receiving() as hook:
        yield hook


def test_a_receiver_that_fails_is_asked_again_by_the_schedule_under_one_id(post: Post, hook: Hook) -> None:
    post.secret()
    hook.manners = [status(500) for _ in range(9)]
    job = post.finished(hook.url)
    assert post.work_off() == 1
    for wait_s in RETRY_AFTER_S:
        post.clock.advance(wait_s - 0.01)
        assert post.work_off() == 0
        post.clock.advance(0.02)
        assert post.work_off() == 1
    assert post.of(job).state is State.DELIVERED
    assert [attempt.status for attempt in post.of(job).attempts] == [500] * 9 + [200]
    assert len(hook.messages) == 10
    assert set(hook.ids) == {post.of(job).id}


def test_a_receiver_that_never_recovers_is_given_up_after_75_hours(post: Post, hook: Hook) -> None:
    post.secret()
    hook.manners = [status(503) for _ in range(20)]
    job = post.finished(hook.url)
    began = post.clock.now()
    while (due := post.of(job).next_attempt_at) is not None:
        post.clock.advance(due - post.clock.now() + 0.01)
        assert post.work_off() == 1
    assert post.of(job).state is State.FAILED
    assert len(hook.messages) == 10
    assert post.clock.now() - began == pytest.approx(sum(RETRY_AFTER_S), abs=1)


@pytest.mark.parametrize("manner", ["silent", "dripping"])
def test_a_slow_receiver_is_cut_off(make_post: MakePost, hook: Hook, manner: str) -> None:
    post = make_post(HttpxCourier(allow_private=True, timeout_s=QUICK_S))
    post.secret()
    hook.manners = [getattr(hook, manner)]
    job = post.finished(hook.url)
    post.work_off()
    (attempt,) = post.of(job).attempts
    assert (attempt.status, attempt.reason) == (0, f"no answer within {QUICK_S:g} s")
    assert post.of(job).state is State.PENDING


def test_a_receiver_that_is_gone_disables_its_address_for_the_tenant(post: Post, hook: Hook) -> None:
    post.secret()
    first = post.finished(hook.url)
    hook.manners = [status(410)]
    post.work_off()
    later = post.finished(hook.url)
    post.work_off()
    assert (post.of(first).state, post.of(later).state) == (State.DISABLED, State.DISABLED)
    assert len(hook.messages) == 1
    post.webhooks.redeliver("acme", post.of(later).id)  # by hand it is tried, and a 2xx enables the address again
    post.work_off()
    once_more = post.finished(hook.url)
    post.work_off()
    assert (post.of(later).state, post.of(once_more).state) == (State.DELIVERED, State.DELIVERED)


def test_a_redirect_is_no_answer_and_leads_nowhere(post: Post, hook: Hook) -> None:
    post.secret()
    with hooks.receiving() as elsewhere:
        hook.manners = [
            status(302, location="http://169.254.169.254/computeMetadata/v1/"),
            status(307, location=elsewhere.url),
        ]
        jobs = [post.finished(hook.url) for _ in range(2)]
        post.work_off()
        assert elsewhere.messages == []
    assert {post.of(job).attempts[0].status for job in jobs} == {302, 307}
    assert all(post.of(job).state is State.PENDING for job in jobs)


def test_a_name_that_moved_to_a_private_address_is_refused_before_anything_is_sent(tmp_path: Path, hook: Hook) -> None:
    """What was public when the job was made may be the metadata server when the webhook is sent."""
    for address in ("169.254.169.254", "127.0.0.1", "10.0.0.1", "::1", "fd00::1"):
        courier = HttpxCourier(allow_private=False, resolve=lambda *_, address=address: ["8.8.8.8", address])
        post = Post(tmp_path / address.replace(":", "-"), courier=courier)
        post.secret()
        job = post.finished(hook.url)
        post.work_off()
        (attempt,) = post.of(job).attempts
        assert (attempt.status, address in attempt.reason) == (0, True)
    assert hook.messages == []


def test_a_thousand_repeated_wake_ups_send_one_message(post: Post, hook: Hook) -> None:
    secret = post.secret()
    job = post.finished(hook.url, answer=42)
    for _ in range(1000):
        post.webhooks.deliver(WebhookWakeUp(post.of(job).id, 1))
    (message,) = hook.messages
    data = json.loads(message.body)["data"]
    assert (data["id"], data["result"]) == (job.id, {"answer": 42})
    at = datetime.fromtimestamp(post.clock.now(), UTC)
    assert message.headers["webhook-signature"] == Webhook(secret).sign(message.id, at, message.body.decode())


def test_an_attempt_that_died_with_its_process_is_made_again(post: Post, hook: Hook) -> None:
    post.secret()
    job = post.finished(hook.url)
    delivery = post.of(job)
    post.webhooks._records.claim(delivery.id, delivery.seq)  # and here the process was killed
    assert post.work_off() == 1
    assert hook.messages == []
    post.clock.advance(75)
    assert post.webhooks.sweep().changed == 1
    assert post.work_off() == 1
    assert post.of(job).state is State.DELIVERED
    assert post.webhooks.sweep().examined == 0
